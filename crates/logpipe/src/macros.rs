//! What a generated table expands to: how a type is read, written and checked, in any encoding.

/// Implements [`Wire`](crate::codec::Wire) for a type by a table of its members.
///
/// ```
/// #[derive(Debug, PartialEq)]
/// pub struct Person {
///     pub name: String,
///     pub nickname: Option<String>,
///     pub home: Option<Option<Town>>,
/// }
///
/// #[derive(Debug, PartialEq)]
/// pub enum Town {
///     Rome,
///     Other(String),
/// }
///
/// #[derive(Debug, PartialEq)]
/// pub struct Percent(pub u8);
///
/// logpipe::wire! {
///     struct Person open {
///         name: "name" required, min_chars(1), max_chars(100);
///         nickname: "nickname" optional, pattern(r"^[a-z]+$");
///         home: "home" optional_nullable;
///     }
///     rules max_properties(3)
/// }
/// logpipe::wire! {
///     enum Town other {
///         Rome = "Rome";
///     }
/// }
/// logpipe::wire! {
///     newtype Percent(u8), max(100);
/// }
/// ```
///
/// * `struct NAME open` reads over members that are not declared, `closed` refuses them, `keep(field)` carries them in
///   that field, a `Map<Value>`.
/// * `required` is a field `T`; `optional` (may be absent) and `nullable` (always there, may be null) are `Option<T>`;
///   `optional_nullable` is `Option<Option<T>>`, the outer one for absent.
/// * What follows are the functions of [`rules`](crate::rules), applied to the `T`.
/// * `enum NAME closed` is a set of strings, `enum NAME other` has a last variant `Other(String)` for any other.
#[macro_export]
macro_rules! wire {
    // How a member comes out of what was read.
    (@take required $value:expr, $wire:literal) => {
        match $value {
            ::core::option::Option::Some(value) => value,
            ::core::option::Option::None => {
                return ::core::result::Result::Err($crate::codec::Fault::missing($wire));
            }
        }
    };
    (@take nullable $value:expr, $wire:literal) => {
        $crate::wire!(@take required $value, $wire)
    };
    (@take optional $value:expr, $wire:literal) => { $value };
    (@take optional_nullable $value:expr, $wire:literal) => { $value };

    // How many members a field is.
    (@count required $field:expr) => { 1 };
    (@count nullable $field:expr) => { 1 };
    (@count optional $field:expr) => { $field.is_some() as usize };
    (@count optional_nullable $field:expr) => { $field.is_some() as usize };

    // What is written for a field: `None` for a member that is absent.
    (@written required $field:expr) => { ::core::option::Option::Some(&$field) };
    (@written nullable $field:expr) => { ::core::option::Option::Some(&$field) };
    (@written optional $field:expr) => { ::core::option::Option::as_ref(&$field) };
    (@written optional_nullable $field:expr) => { ::core::option::Option::as_ref(&$field) };

    // The value that the rules are about, if there is one.
    (@ruled required $field:expr) => { ::core::option::Option::Some(&$field) };
    (@ruled nullable $field:expr) => { ::core::option::Option::as_ref(&$field) };
    (@ruled optional $field:expr) => { ::core::option::Option::as_ref(&$field) };
    (@ruled optional_nullable $field:expr) => {
        ::core::option::Option::as_ref(&$field).and_then(::core::option::Option::as_ref)
    };

    // A pattern at a place of its own is compiled once for that place.
    (@rule $value:ident pattern ($pattern:expr)) => {{
        static PATTERN: $crate::rules::Pattern = $crate::rules::Pattern::new($pattern);
        PATTERN.check($value)
    }};
    (@rule $value:ident $rule:ident ()) => { $crate::rules::$rule($value) };
    (@rule $value:ident $rule:ident ($($argument:tt)+)) => {
        $crate::rules::$rule($value, $($argument)+)
    };

    // A member that is not declared.
    (@unknown open $reader:ident $name:ident) => {{
        let _ = $name;
        $reader.skip()?;
    }};
    (@unknown closed $reader:ident $name:ident) => {
        return ::core::result::Result::Err($crate::codec::Fault::undeclared(&$name))
    };
    (@unknown keep $reader:ident $name:ident $kept:ident) => {
        let value = $crate::codec::Wire::read($reader).map_err($crate::codec::Fault::entry)?;
        $kept.insert($name.into_owned(), value);
    };

    (
        struct $name:ident $unknown:ident $(($keep:ident))? {
            $($field:ident: $wire:literal $presence:ident $(, $rule:ident ($($argument:tt)*))*;)*
        }
        $(rules $($whole:ident ($($whole_argument:tt)*)),+)?
    ) => {
        impl $crate::codec::Wire for $name {
            fn read<'a, R: $crate::codec::Reader<'a>>(
                reader: &mut R,
            ) -> ::core::result::Result<Self, $crate::codec::Fault> {
                #[allow(non_camel_case_types, dead_code, clippy::enum_variant_names)]
                enum Row { $($field,)* __End }
                const ROWS: [$crate::codec::Name; Row::__End as usize] =
                    [$($crate::codec::Name::new($wire)),*];

                $(let mut $field = ::core::option::Option::None;)*
                $(let mut $keep = $crate::types::Map::new();)?
                #[allow(unused_mut)]
                let mut late = $crate::codec::Late::<usize>::new();
                let mut object = reader.object()?;
                let mut next = 0;
                loop {
                    let row = match reader.row(&mut object, &ROWS, next)? {
                        $crate::codec::Row::Known(row) => row,
                        $crate::codec::Row::Unknown(_name) => {
                            $crate::wire!(@unknown $unknown reader _name $($keep)?);
                            #[allow(unreachable_code)]
                            continue;
                        }
                        $crate::codec::Row::End => break,
                    };
                    next = row + 1;
                    match row {
                        $(row if row == Row::$field as usize => {
                            $crate::codec::read_member(reader, &mut late, row, $wire, &mut $field)?
                        })*
                        _ => reader.skip()?,
                    }
                }
                late.finish()?;
                ::core::result::Result::Ok(Self {
                    $($field: $crate::wire!(@take $presence $field, $wire),)*
                    $($keep,)?
                })
            }

            #[allow(unused_mut)]
            fn write<W: $crate::codec::Writer>(
                &self,
                writer: &mut W,
            ) -> ::core::result::Result<(), $crate::codec::Fault> {
                let mut object = writer.object($crate::rules::Members::members(self))?;
                $(
                    $crate::codec::write_member(
                        writer,
                        &mut object,
                        $wire,
                        $crate::wire!(@written $presence self.$field),
                    )?;
                )*
                $(
                    for (name, value) in &self.$keep {
                        writer.member(&mut object, name)?;
                        $crate::codec::Wire::write(value, writer)
                            .map_err($crate::codec::Fault::entry)?;
                    }
                )?
                writer.end_object(object)
            }

            fn check(&self) -> ::core::result::Result<(), $crate::codec::Fault> {
                $(
                    if let ::core::option::Option::Some(value) =
                        $crate::wire!(@ruled $presence self.$field)
                    {
                        $(
                            $crate::codec::at_member(
                                $wire,
                                $crate::wire!(@rule value $rule ($($argument)*)),
                            )?;
                        )*
                        $crate::codec::at_member($wire, $crate::codec::Wire::check(value))?;
                    }
                )*
                #[allow(dead_code)]
                const DECLARED: &[&str] = &[$($wire),*];
                $(
                    if self.$keep.keys().any(|name| DECLARED.contains(&name.as_str())) {
                        return ::core::result::Result::Err($crate::codec::Fault::invalid(
                            "a declared member among those that are not",
                        ));
                    }
                )?
                $($(
                    $crate::wire!(@rule self $whole ($($whole_argument)*))?;
                )+)?
                ::core::result::Result::Ok(())
            }
        }

        impl $crate::rules::Members for $name {
            fn members(&self) -> usize {
                0_usize
                    $(+ $crate::wire!(@count $presence self.$field))*
                    $(+ self.$keep.len())?
            }
        }
    };

    (enum $name:ident closed { $($variant:ident = $wire:literal;)* }) => {
        impl $name {
            /// As it stands in a message.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $wire,)*
                }
            }
        }

        $crate::wire! { @enum $name [$($wire),*] text {
            match &*text {
                $($wire => ::core::result::Result::Ok(Self::$variant),)*
                _ => ::core::result::Result::Err($crate::codec::Fault::not_one_of(&[$($wire),*])),
            }
        } }
    };

    (enum $name:ident other { $($variant:ident = $wire:literal;)* }) => {
        impl $name {
            /// As it stands in a message.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $wire,)*
                    Self::Other(text) => text,
                }
            }
        }

        $crate::wire! { @enum $name [$($wire),*] text {
            match &*text {
                $($wire => ::core::result::Result::Ok(Self::$variant),)*
                _ => ::core::result::Result::Ok(Self::Other(text.into_owned())),
            }
        } }
    };

    (@enum $name:ident [$($wire:literal),*] $text:ident $parse:block) => {
        impl $crate::codec::Wire for $name {
            fn read<'a, R: $crate::codec::Reader<'a>>(
                reader: &mut R,
            ) -> ::core::result::Result<Self, $crate::codec::Fault> {
                let $text = reader.string()?;
                $parse
            }

            fn write<W: $crate::codec::Writer>(
                &self,
                writer: &mut W,
            ) -> ::core::result::Result<(), $crate::codec::Fault> {
                writer.string(self.as_str())
            }
        }

        impl $crate::rules::Text for $name {
            fn text(&self) -> ::std::borrow::Cow<'_, str> {
                ::std::borrow::Cow::Borrowed(self.as_str())
            }
        }

        impl $crate::Key for $name {
            fn key(&self) -> ::core::option::Option<::std::borrow::Cow<'_, [u8]>> {
                ::core::option::Option::Some(::std::borrow::Cow::Borrowed(self.as_str().as_bytes()))
            }
        }
    };

    (newtype $name:ident($inner:ty) $(, $rule:ident ($($argument:tt)*))*;) => {
        impl $crate::codec::Wire for $name {
            fn read<'a, R: $crate::codec::Reader<'a>>(
                reader: &mut R,
            ) -> ::core::result::Result<Self, $crate::codec::Fault> {
                <$inner as $crate::codec::Wire>::read(reader).map(Self)
            }

            fn write<W: $crate::codec::Writer>(
                &self,
                writer: &mut W,
            ) -> ::core::result::Result<(), $crate::codec::Fault> {
                $crate::codec::Wire::write(&self.0, writer)
            }

            fn check(&self) -> ::core::result::Result<(), $crate::codec::Fault> {
                let value = &self.0;
                $($crate::wire!(@rule value $rule ($($argument)*))?;)*
                $crate::codec::Wire::check(value)
            }
        }

        impl $crate::rules::Newtype for $name {
            type Inner = $inner;

            fn inner(&self) -> &$inner {
                &self.0
            }
        }
    };
}

/// Implements [`Message`](crate::Message) for a type that has [`wire!`](crate::wire).
///
/// `, of PATH` names the type that implements [`Versions`](crate::Versions), whose list becomes this one's; `, key
/// FIELD` the field that keys the record.
///
/// ```
/// # pub struct Person { pub name: String }
/// # logpipe::wire! { struct Person open { name: "name" required; } }
/// logpipe::message! { Person = "person" version 1, key name; }
/// ```
#[macro_export]
macro_rules! message {
    ($name:ident = $type:literal version $version:literal $(, of $any:path)? $(, key $key:ident)?;) => {
        impl $crate::Message for $name {
            const TYPE: &'static str = $type;
            const VERSION: u32 = $version;
            $(const VERSIONS: &'static [u32] = <$any as $crate::Versions>::VERSIONS;)?
            $(
                fn key(&self) -> ::core::option::Option<::std::borrow::Cow<'_, [u8]>> {
                    $crate::Key::key(&self.$key)
                }
            )?
        }
    };
}
