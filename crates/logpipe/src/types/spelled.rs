//! How a format that asserts joins the codec: it is text with a grammar and one printer.

use std::borrow::Cow;

/// A type that stands in a message as text.
pub(crate) trait Spelled: Sized {
    /// What the text has to be, for errors: "a date, as 2024-02-29".
    const EXPECTED: &'static str;

    /// By the strict grammar; `None` when it does not match.
    fn parse(text: &str) -> Option<Self>;

    /// The one spelling; `None` for a value that the grammar can't spell.
    fn spell(&self) -> Option<Cow<'_, str>>;

    /// Hands the spelling on; a type that can do so without an allocation does.
    #[inline]
    fn with_spelling<T>(&self, take: impl FnOnce(&str) -> T) -> Option<T> {
        self.spell().map(|text| take(&text))
    }
}

/// Implements `Wire` by [`Spelled`]; `parsed` types also get their conversions from and to text.
macro_rules! spelled {
    ($type:ty) => {
        impl $crate::codec::Wire for $type {
            fn read<'a, R: $crate::codec::Reader<'a>>(
                reader: &mut R,
            ) -> Result<Self, $crate::codec::Fault> {
                let text = reader.string()?;
                <Self as $crate::types::Spelled>::parse(&text)
                    .ok_or_else($crate::types::spelled::misspelled::<Self>)
            }

            fn write<W: $crate::codec::Writer>(
                &self,
                writer: &mut W,
            ) -> Result<(), $crate::codec::Fault> {
                match $crate::types::Spelled::with_spelling(self, |text| writer.string(text)) {
                    Some(written) => written,
                    None => Err($crate::types::spelled::misspelled::<Self>()),
                }
            }

            fn keeps(&self, rule: &$crate::rules::Rule) -> Result<(), $crate::codec::Fault> {
                let text = $crate::types::Spelled::spell(self).unwrap_or_default();
                $crate::rules::text(&text, rule)
            }
        }
    };
    ($type:ty, parsed) => {
        $crate::types::spelled::spelled!($type);

        impl std::str::FromStr for $type {
            type Err = $crate::Invalid;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                <Self as $crate::types::Spelled>::parse(text)
                    .ok_or_else(|| $crate::types::spelled::misspelled::<Self>().into())
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(&$crate::types::Spelled::spell(self).unwrap_or_default())
            }
        }
    };
}

pub(crate) use spelled;

#[cold]
pub(crate) fn misspelled<T: Spelled>() -> crate::codec::Fault {
    crate::codec::Fault::invalid(T::EXPECTED)
}
