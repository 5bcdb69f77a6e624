// @generated from schemas/shapes.v1.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 1a0d791c1d6a341261fb507b 551118c3bb3629288d89d7e0

//! `golden.Shapes`, version 1.

/// Every shape, presence and rule
#[derive(Clone, PartialEq)]
pub struct Shapes {
    /// `id`.
    pub id: ::logpipe::types::Uuid,
    /// `flag`.
    pub flag: Option<bool>,
    /// `u8`.
    pub u8: u8,
    /// `i32`.
    pub i32: Option<i32>,
    /// `u64`.
    pub u64: Option<u64>,
    /// `odd_range`.
    pub odd_range: Option<i64>,
    /// `always`.
    pub always: i64,
    /// `ratio`.
    pub ratio: f64,
    /// `code`.
    pub code: Code,
    /// `text`.
    pub text: Option<String>,
    /// `moment`.
    pub moment: Option<::logpipe::types::Timestamp>,
    /// `site`.
    pub site: Option<::logpipe::types::Uri>,
    /// `color`.
    pub color: ShapesColor,
    /// `mood`.
    pub mood: Option<ShapesMood>,
    /// `tags`.
    pub tags: Option<Vec<Option<String>>>,
    /// `grid`.
    pub grid: Option<Vec<Vec<i64>>>,
    /// `prices`.
    pub prices: Option<::logpipe::types::Map<f64>>,
    /// `anything`.
    pub anything: Option<::logpipe::types::Value>,
    /// `maybe`.
    pub maybe: Option<ShapesMaybe>,
    /// `tree`.
    pub tree: Option<Tree>,
    /// `closed`.
    pub closed: Option<Closed>,
    /// Members that the schema does not declare.
    pub unknown: ::logpipe::types::Map<::logpipe::types::Value>,
}

impl Shapes {
    /// `flag`, or the schema's default where it is absent.
    #[must_use]
    pub fn flag_or_default(&self) -> bool {
        self.flag.unwrap_or(true)
    }
    /// `mood`, or the schema's default where it is absent.
    #[must_use]
    pub fn mood_or_default(&self) -> ShapesMood {
        self.mood.clone().unwrap_or_else(|| ShapesMood::Other("fine".to_owned()))
    }
    /// `tags`, or the schema's default where it is absent.
    #[must_use]
    pub fn tags_or_default(&self) -> Vec<Option<String>> {
        self.tags.clone().unwrap_or_default()
    }
    /// `closed`, or the schema's default where it is absent.
    #[must_use]
    pub fn closed_or_default(&self) -> Closed {
        self.closed.clone().unwrap_or_else(|| ::logpipe::types::from_schema("{\"a\":1}"))
    }
}

/// The definition `code`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Code(
    /// The value itself.
    pub String,
);

/// What `color` holds in [`Shapes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShapesColor {
    /// `red`
    Red,
    /// `green blue`
    GreenBlue,
}

/// What `mood` holds in [`Shapes`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ShapesMood {
    /// `good`
    Good,
    /// `bad`
    Bad,
    /// Any other string.
    Other(String),
}

/// What `maybe` holds in [`Shapes`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ShapesMaybe {
    /// `inner`.
    pub inner: String,
}

/// The definition `tree`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tree {
    /// `left`.
    pub left: Option<Box<Tree>>,
    /// `right`.
    pub right: Option<Box<Twig>>,
    /// `children`.
    pub children: Option<Vec<Tree>>,
}

/// The definition `twig`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Twig {
    /// `tree`.
    pub tree: Box<Tree>,
}

/// The definition `closed`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Closed {
    /// `a`.
    pub a: Option<i64>,
}

::logpipe::wire! {
    struct Shapes keep(unknown) {
        id: "id";
        flag: "flag" optional;
        u8: "u8";
        i32: "i32" optional;
        u64: "u64" optional;
        odd_range: "odd_range" optional, min(1), max(1_234_566), multiple_of(3);
        always: "always", equals(7);
        ratio: "ratio", above_decimal("-0.5"), max_decimal("1000"), multiple_of_decimal("0.01");
        code: "code";
        text: "text", min_chars(1), max_chars(12345), pattern("^[0-9]+\"x\"$");
        moment: "moment" optional;
        site: "site" optional;
        color: "color";
        mood: "mood" optional;
        tags: "tags" optional, max_items(5), unique_items(), each(&[::logpipe::rules::Rule::min_chars(1), ::logpipe::rules::Rule::max_chars(5)]);
        grid: "grid" optional, each(&[::logpipe::rules::Rule::each(&[::logpipe::rules::Rule::min(1)])]);
        prices: "prices" optional, min_properties(1), values(&[::logpipe::rules::Rule::min_decimal("0")]);
        anything: "anything" optional;
        maybe: "maybe";
        tree: "tree" optional;
        closed: "closed" optional;
    }
}

::logpipe::wire! {
    newtype Code(String), pattern("^[A-Z]{3}$");
}

::logpipe::wire! {
    enum ShapesColor closed {
        Red = "red";
        GreenBlue = "green blue";
    }
}

::logpipe::wire! {
    enum ShapesMood other {
        Good = "good";
        Bad = "bad";
    }
}

::logpipe::wire! {
    struct ShapesMaybe open {
        inner: "inner";
    }
}

::logpipe::wire! {
    struct Tree open {
        left: "left" optional;
        right: "right" optional;
        children: "children" optional;
    }
}

::logpipe::wire! { boxed Tree; }

::logpipe::wire! {
    struct Twig open {
        tree: "tree";
    }
}

::logpipe::wire! { boxed Twig; }

::logpipe::wire! {
    struct Closed closed {
        a: "a" optional;
    }
}

::logpipe::message! { Shapes = "golden.Shapes" version 1, of super::Any, key id; }
