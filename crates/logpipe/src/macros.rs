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
/// * The literal of a name spells control characters as escapes.
/// * `required` is a field `T`; `optional` (may be absent) and `nullable` (always there, may be null) are `Option<T>`;
///   `optional_nullable` is `Option<Option<T>>`, the outer one for absent.
/// * What follows are the functions of [`rules`](crate::rules), applied to the `T`.
/// * `enum NAME closed` is a set of strings, `enum NAME other` has a last variant `Other(String)` for any other.
#[macro_export]
macro_rules! wire {
    // Whether a member keeps a rule, which is about the value, if there is one.
    (@kept required $broken:ident $field:expr; $wire:literal $($rule:tt)+) => {
        $crate::codec::table::keeps(&mut $broken, $wire, $crate::wire!(@rule (&$field) $($rule)+));
    };
    (@kept optional_nullable $broken:ident $field:expr; $wire:literal $($rule:tt)+) => {
        if let ::core::option::Option::Some(::core::option::Option::Some(value)) = &$field {
            $crate::codec::table::keeps(&mut $broken, $wire, $crate::wire!(@rule value $($rule)+));
        }
    };
    (@kept $presence:ident $broken:ident $field:expr; $wire:literal $($rule:tt)+) => {
        if let ::core::option::Option::Some(value) = &$field {
            $crate::codec::table::keeps(&mut $broken, $wire, $crate::wire!(@rule value $($rule)+));
        }
    };

    (@rule $value:tt $rule:ident ()) => { $crate::rules::$rule($value) };
    (@rule $value:tt $rule:ident ($($argument:tt)+)) => {
        $crate::rules::$rule($value, $($argument)+)
    };

    (
        struct $name:ident $unknown:ident $(($keep:ident))? {
            $($field:ident: $wire:literal $presence:ident $(, $rule:ident ($($argument:tt)*))*;)*
        }
        $(rules $($whole:ident ($($whole_argument:tt)*)),+)?
    ) => {
        impl $crate::codec::Wire for $name {
            const NAMES: &'static [$crate::codec::Name] = &[
                $($crate::codec::Name {
                    text: $wire,
                    spelled: ::core::concat!(",", ::core::stringify!($wire), ":"),
                }),*
            ];

            fn read<'a, R: $crate::codec::Reader<'a>>(
                reader: &mut R,
            ) -> ::core::result::Result<Self, $crate::codec::Fault> {
                match $crate::codec::table::read(reader, Self::NAMES) {
                    ::core::result::Result::Ok((
                        $crate::members!($($presence($field))*),
                        $crate::codec::table::$unknown $(($keep))?,
                    )) => ::core::result::Result::Ok(Self { $($field,)* $($keep,)? }),
                    ::core::result::Result::Err(fault) => ::core::result::Result::Err(fault),
                }
            }

            fn write<W: $crate::codec::Writer>(
                &self,
                writer: &mut W,
            ) -> ::core::result::Result<(), $crate::codec::Fault> {
                $crate::codec::table::write(self, writer)
            }

            fn check(&self) -> ::core::result::Result<(), $crate::codec::Fault> {
                let mut broken = ::core::option::Option::<$crate::codec::Fault>::None;
                $($($crate::wire!(
                    @kept $presence broken self.$field; $wire $rule ($($argument)*)
                );)*)*
                if let ::core::option::Option::Some(fault) = broken {
                    return ::core::result::Result::Err(fault);
                }
                $($(
                    if let ::core::result::Result::Err(fault) =
                        $crate::wire!(@rule self $whole ($($whole_argument)*))
                    {
                        return ::core::result::Result::Err(fault);
                    }
                )+)?
                $crate::codec::table::check(self)
            }
        }

        impl $crate::codec::table::Table for $name {
            fn show<V: $crate::codec::table::Visit>(
                &self,
                visit: V,
            ) -> ::core::result::Result<(), $crate::codec::Fault> {
                visit.visit(
                    &$crate::members!($($presence(&self.$field))*),
                    &$crate::codec::table::$unknown $((&self.$keep))?,
                )
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

/// The members of a table as a tuple, as a pattern or as an expression; more than twelve as a tuple of tuples.
#[doc(hidden)]
#[macro_export]
macro_rules! members {
    (
        $a:ident $x:tt $b:ident $y:tt $c:ident $z:tt $d:ident $u:tt $e:ident $v:tt $f:ident $w:tt
        $g:ident $p:tt $h:ident $q:tt $i:ident $r:tt $j:ident $s:tt $k:ident $t:tt $l:ident $o:tt
        $($more:tt)+
    ) => {
        (
            $crate::members!(
                $a $x $b $y $c $z $d $u $e $v $f $w $g $p $h $q $i $r $j $s $k $t $l $o
            ),
            $crate::members!($($more)+),
        )
    };
    ($($presence:ident ($($field:tt)*))*) => {
        ($($crate::codec::table::$presence($($field)*),)*)
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
