// @generated from schemas/com.acme.Type-of.v2.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: 088294a7abfae60720ec14a1 1a4e6bce9fcf911ce9fe19e3

//! `x";}{Self}/'y'*/`, version 2.

pub use super::v1::String_;
pub use super::v1::R_;
pub use super::v1::W_;
pub use super::v1::S;
pub use super::v1::Result_;

/// \*/ "; } fn owned() {} /\*
/// \#!\[allow(warnings)\]
///
/// \`\`\`rust
/// panic!()
/// \`\`\`
/// let indented = 1;
/// \[link\]\[nowhere\] \[\`Nope\`\] \<script\>x\</script\> https\://\[bad\] {braces} \\u{202e} \\u{7} \\u{41} //! inner
/// \#\[derive(Nope)\]
/// \- list
/// 1\. one
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TypeOf {
    /// \*/ "; } fn owned() {} /\*
    pub quote_semicolon_unbrace: String,
    /// \*/
    pub type_: Option<String>,
    /// `größe`.
    pub grosse: Option<i64>,
    /// `日本`.
    pub u65e5_u672c: Option<String>,
    /// ` `.
    pub empty: Option<String>,
    /// `2nd`.
    pub n2nd: Option<String>,
    /// `line break`.
    pub line_u000a_break_u000d_u2028: Option<String>,
    /// `{Self} {0}`.
    pub brace_self_unbrace_brace_0_unbrace: String,
    /// `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`.
    pub aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_a7533435cc9828fd: Option<
        String,
    >,
    /// `self`.
    pub self_: Option<TypeOfSelf>,
    /// `String`.
    pub string: Option<String_>,
    /// `Option`.
    pub option: Option<TypeOfOption>,
    /// `"; needed`.
    pub quote_semicolon_needed: String,
    /// `reader`.
    pub reader: Option<String>,
    /// `writer`.
    pub writer: Option<String>,
    /// `object`.
    pub object: Option<String>,
    /// `late`.
    pub late: Option<String>,
    /// `next`.
    pub next: Option<String>,
    /// `row`.
    pub row: Option<String>,
    /// `mark`.
    pub mark: Option<String>,
    /// `name`.
    pub name: Option<String>,
    /// `value`.
    pub value: Option<String>,
    /// `fault`.
    pub fault: Option<String>,
    /// `text`.
    pub text: Option<String>,
    /// `message`.
    pub message: Option<String>,
    /// `from`.
    pub from: Option<String>,
    /// `many`.
    pub many: Option<R_>,
    /// `res`.
    pub res: Option<Result_>,
}

impl TypeOf {
    /// `日本`, or the schema's default where it is absent.
    #[must_use]
    pub fn u65e5_u672c_or_default(&self) -> &str {
        self.u65e5_u672c.as_deref().unwrap_or("\"; panic!(); \"")
    }
}

/// What `self` holds in [`TypeOf`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TypeOfSelf {
    /// `self`
    Self_,
    /// `-1`
    Minus1,
    /// `1`
    N1,
    /// `A+`
    APlus,
    /// `A`
    A,
    /// ` `
    Empty,
    /// `"; }`
    QuoteSemicolonUnbrace,
    /// `\u{41}`
    BackslashUBrace41Unbrace,
    /// `string`
    String,
    /// `\u{202e}`
    U202e,
}

/// What `Option` holds in [`TypeOf`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TypeOfOption {
    /// `Vec`.
    pub vec: Option<Vec<TypeOfOptionVec>>,
}

/// What `Vec` holds in [`TypeOfOption`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TypeOfOptionVec {
    /// `Box`.
    pub box_: Option<String>,
}

::logpipe::wire! {
    struct TypeOf open {
        quote_semicolon_unbrace: "\"; }";
        type_: "type" optional;
        grosse: "größe" optional;
        u65e5_u672c: "日本" optional;
        empty: "" optional;
        n2nd: "2nd" optional;
        line_u000a_break_u000d_u2028: "line\nbreak\r\u{2028}" optional;
        brace_self_unbrace_brace_0_unbrace: "{Self} {0}";
        aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_a7533435cc9828fd: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" optional;
        self_: "self" optional;
        string: "String" optional;
        option: "Option" optional;
        quote_semicolon_needed: "\"; needed";
        reader: "reader" optional, max_chars(9);
        writer: "writer" optional, max_chars(9);
        object: "object" optional, max_chars(9);
        late: "late" optional, max_chars(9);
        next: "next" optional, max_chars(9);
        row: "row" optional, max_chars(9);
        mark: "mark" optional, max_chars(9);
        name: "name" optional, max_chars(9);
        value: "value" optional, max_chars(9);
        fault: "fault" optional, max_chars(9);
        text: "text" optional, max_chars(9);
        message: "message" optional, max_chars(9);
        from: "from" optional, max_chars(9);
        many: "many" optional;
        res: "res" optional;
    }
}

::logpipe::wire! {
    enum TypeOfSelf closed {
        Self_ = "self";
        Minus1 = "-1";
        N1 = "1";
        APlus = "A+";
        A = "A";
        Empty = "";
        QuoteSemicolonUnbrace = "\"; }";
        BackslashUBrace41Unbrace = r"\u{41}";
        String = "string";
        U202e = "\u{202e}";
    }
}

::logpipe::wire! {
    struct TypeOfOption open {
        vec: "Vec" optional;
    }
}

::logpipe::wire! {
    struct TypeOfOptionVec open {
        box_: "Box" optional, pattern("^[\"\\#]+\\\\$");
    }
}

::logpipe::message! { TypeOf = "x\";}{Self}/`y`*/" version 2, of super::Any, key quote_semicolon_unbrace; }
