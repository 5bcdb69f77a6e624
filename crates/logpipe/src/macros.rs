//! What a generated table expands to: how a type is read, written and checked, in any encoding.

/// Implements [`Wire`](crate::codec::Wire) for a type by a table of its members; for a struct also `Debug`, by the same
/// table.
///
/// ```
/// #[derive(PartialEq)]
/// pub struct Person {
///     pub name: String,
///     pub nickname: Option<String>,
///     pub home: Option<Option<Town>>,
///     pub friend: Option<Box<Person>>,
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
///         name: "name", min_chars(1), max_chars(100);
///         nickname: "nickname" optional, pattern(r"^[a-z]+$");
///         home: "home" optional_nullable;
///         friend: "friend" optional;
///     }
///     rules max_properties(3)
/// }
/// logpipe::wire! { boxed Person; }
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
/// * A member that may be null is an `Option`. One that may be absent is an `Option` and has the word `optional`; one that
///   may be both is an `Option<Option<T>>`, the outer one for absent, and has the word `optional_nullable`.
/// * What follows are [rules](crate::rules::Rule) of the value. One that is about another kind of value refuses all.
/// * `boxed NAME` is for a type that contains itself: it stands in a `Box` then.
/// * `enum NAME closed` is a set of strings, `enum NAME other` has a last variant `Other(String)` for any other.
#[macro_export]
macro_rules! wire {
    (
        struct $name:ident $unknown:ident $(($keep:ident))? {
            $($field:ident: $wire:literal $($presence:ident)? $(, $rule:ident ($($argument:tt)*))*;)*
        }
        $(rules $($whole:ident ($($whole_argument:tt)*)),+)?
    ) => {
        impl $crate::codec::table::Table for $name {
            const ROWS: &'static [$crate::rules::Rule] = &[$(
                $crate::rules::Rule::of($wire),
                $($crate::rules::Rule::$rule($($argument)*),)*
            )*];
            $(const RULES: &'static [$crate::rules::Rule] = &[
                $($crate::rules::Rule::$whole($($whole_argument)*)),+
            ];)?

            fn read<'a, R: $crate::codec::Reader<'a>>(
                reader: &mut R,
            ) -> ::core::result::Result<Self, $crate::codec::Fault> {
                match $crate::codec::table::read(reader, Self::MEMBERS) {
                    ::core::result::Result::Ok((
                        $crate::members!($($($presence)?($field))*),
                        $crate::codec::table::$unknown $(($keep))?,
                    )) => ::core::result::Result::Ok(Self { $($field,)* $($keep,)? }),
                    ::core::result::Result::Err(fault) => ::core::result::Result::Err(fault),
                }
            }

            fn show<V: $crate::codec::table::Visit>(&self, visit: V) -> V::Seen {
                visit.visit(
                    &$crate::members!($($($presence)?(&self.$field))*),
                    &$crate::codec::table::$unknown $((&self.$keep))?,
                )
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, out: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                $crate::codec::table::debug(self, out)
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

            fn keeps(
                &self,
                rule: &$crate::rules::Rule,
            ) -> ::core::result::Result<(), $crate::codec::Fault> {
                $crate::rules::text(self.as_str(), rule)
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
                $crate::codec::table::check(
                    &self.0,
                    &[$($crate::rules::Rule::$rule($($argument)*)),*],
                )
            }

            fn keeps(
                &self,
                rule: &$crate::rules::Rule,
            ) -> ::core::result::Result<(), $crate::codec::Fault> {
                $crate::codec::Wire::keeps(&self.0, rule)
            }
        }

        impl $crate::Newtype for $name {
            type Inner = $inner;

            fn inner(&self) -> &$inner {
                &self.0
            }
        }
    };

    (boxed $name:ident;) => {
        impl $crate::codec::Wire for ::std::boxed::Box<$name> {
            fn read<'a, R: $crate::codec::Reader<'a>>(
                reader: &mut R,
            ) -> ::core::result::Result<Self, $crate::codec::Fault> {
                <$name as $crate::codec::Wire>::read(reader).map(Self::new)
            }

            fn write<W: $crate::codec::Writer>(
                &self,
                writer: &mut W,
            ) -> ::core::result::Result<(), $crate::codec::Fault> {
                $crate::codec::Wire::write(&**self, writer)
            }

            fn check(&self) -> ::core::result::Result<(), $crate::codec::Fault> {
                $crate::codec::Wire::check(&**self)
            }

            fn keeps(
                &self,
                rule: &$crate::rules::Rule,
            ) -> ::core::result::Result<(), $crate::codec::Fault> {
                $crate::codec::Wire::keeps(&**self, rule)
            }
        }
    };
}

/// The members of a table as a tuple, as a pattern or as an expression; more than twelve as a tuple of tuples.
#[doc(hidden)]
#[macro_export]
macro_rules! members {
    (
        $($pa:ident)? ($($fa:tt)*)
        $($pb:ident)? ($($fb:tt)*)
        $($pc:ident)? ($($fc:tt)*)
        $($pd:ident)? ($($fd:tt)*)
        $($pe:ident)? ($($fe:tt)*)
        $($pf:ident)? ($($ff:tt)*)
        $($pg:ident)? ($($fg:tt)*)
        $($ph:ident)? ($($fh:tt)*)
        $($pi:ident)? ($($fi:tt)*)
        $($pj:ident)? ($($fj:tt)*)
        $($pk:ident)? ($($fk:tt)*)
        $($pl:ident)? ($($fl:tt)*)
        $($more:tt)+
    ) => {
        (
            $crate::members!(
                $($pa)? ($($fa)*)
                $($pb)? ($($fb)*)
                $($pc)? ($($fc)*)
                $($pd)? ($($fd)*)
                $($pe)? ($($fe)*)
                $($pf)? ($($ff)*)
                $($pg)? ($($fg)*)
                $($ph)? ($($fh)*)
                $($pi)? ($($fi)*)
                $($pj)? ($($fj)*)
                $($pk)? ($($fk)*)
                $($pl)? ($($fl)*)
            ),
            $crate::members!($($more)+),
        )
    };
    ($($($presence:ident)? ($($field:tt)*))*) => {
        ($($($crate::codec::table::$presence)? ($($field)*),)*)
    };
}

/// Implements [`Message`](crate::Message) for a type that has [`wire!`](crate::wire).
///
/// `, of PATH` names the type that implements [`Versions`](crate::Versions), whose list becomes this one's; `, key
/// FIELD` the field that keys the record.
///
/// ```
/// # pub struct Person { pub name: String }
/// # logpipe::wire! { struct Person open { name: "name"; } }
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
