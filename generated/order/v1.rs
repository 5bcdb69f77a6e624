// @generated from schemas/order.v1.json by logpipe-build 0.1.0. Do not edit: change the schema and run `logpipe generate`.
// digest: e22ac4465e965d53c2f1b5ab 9931a26559dd0c316c41785b

//! `order`, version 1.

/// What somebody wants to have, and where.
#[derive(Clone, PartialEq)]
pub struct Order {
    /// Identifies the order.
    pub id: OrderId,
    /// When it was placed.
    pub placed_at: ::logpipe::types::Timestamp,
    /// The person who placed it.
    pub customer: ::logpipe::types::Uuid,
    /// Where questions about it go.
    pub contact: Option<::logpipe::types::Email>,
    /// How it reached us; new channels appear without a new version.
    pub channel: OrderChannel,
    /// How far it is.
    pub status: Option<OrderStatus>,
    /// Where it goes.
    pub ship_to: Address,
    /// Where the invoice goes, if elsewhere.
    pub bill_to: Option<Address>,
    /// The day that was asked for; null for any day.
    pub deliver_on: Option<::logpipe::types::Date>,
    /// Not before this time of day.
    pub deliver_from: Option<::logpipe::types::Time>,
    /// How long it may wait for its last item.
    pub hold_for: Option<::logpipe::types::Duration>,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// In the currency.
    pub total: f64,
    /// Always the same, until it is not.
    pub currency: OrderCurrency,
    /// Wrap it.
    pub gift: Option<bool>,
    /// Absent: not asked for. Null: asked for, none given.
    pub coupon: Option<Option<String>>,
    /// Free words of the shop, by name.
    pub labels: Option<::logpipe::types::Map<String>>,
    /// Where it came from.
    pub source_ip: Option<::logpipe::types::Ipv4Addr>,
    /// Where it came from, in the newer spelling.
    pub source_ipv6: Option<::logpipe::types::Ipv6Addr>,
    /// Where its way can be followed.
    pub tracking: Option<::logpipe::types::Uri>,
    /// Use a label.
    ///
    /// **Deprecated.**
    pub referrer: Option<String>,
    /// Members that the schema does not declare.
    pub unknown: ::logpipe::types::Map<::logpipe::types::Value>,
}

impl Order {
    /// `status`, or the schema's default where it is absent.
    #[must_use]
    pub fn status_or_default(&self) -> OrderStatus {
        self.status.unwrap_or(OrderStatus::New)
    }
    /// `gift`, or the schema's default where it is absent.
    #[must_use]
    pub fn gift_or_default(&self) -> bool {
        self.gift.unwrap_or(false)
    }
}

/// Two letters of the shop and a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OrderId(
    /// The value itself.
    pub String,
);

/// How it reached us; new channels appear without a new version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OrderChannel {
    /// `web`
    Web,
    /// `app`
    App,
    /// `phone`
    Phone,
    /// Any other string.
    Other(String),
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderStatus {
    /// `new`
    New,
    /// `paid`
    Paid,
    /// `shipped`
    Shipped,
    /// `cancelled`
    Cancelled,
}

/// A postal address.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// As written on the envelope, from the name down.
    pub lines: Vec<String>,
    /// As its country spells it.
    pub postal_code: Option<String>,
    /// Two letters of ISO 3166-1.
    pub country: String,
}

/// One article, and the parts that belong to it.
#[derive(Clone, PartialEq)]
pub struct Line {
    /// The article.
    pub sku: String,
    /// How many.
    pub quantity: i64,
    /// Grams, of one.
    pub weight_g: Option<u32>,
    /// Of one.
    pub price: f64,
    /// What it is made of, for a set.
    pub parts: Option<Vec<Line>>,
    /// Only for articles that can be engraved.
    pub engraving: Option<LineEngraving>,
}

/// Only for articles that can be engraved.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LineEngraving {
    /// What to engrave.
    pub text: String,
    /// In which letters.
    pub font: Option<LineEngravingFont>,
}

/// In which letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LineEngravingFont {
    /// `serif`
    Serif,
    /// `sans`
    Sans,
    /// `script`
    Script,
}

/// Always the same, until it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderCurrency {
    /// `EUR`
    Eur,
}

::logpipe::wire! {
    struct Order keep(unknown) {
        id: "id";
        placed_at: "placed_at";
        customer: "customer";
        contact: "contact" optional;
        channel: "channel";
        status: "status" optional;
        ship_to: "ship_to";
        bill_to: "bill_to" optional;
        deliver_on: "deliver_on";
        deliver_from: "deliver_from" optional;
        hold_for: "hold_for" optional;
        lines: "lines", min_items(1), max_items(500);
        total: "total", min_decimal("0"), below_decimal("10000000"), multiple_of_decimal("0.01");
        currency: "currency";
        gift: "gift" optional;
        coupon: "coupon" optional_nullable, max_chars(20);
        labels: "labels" optional, max_properties(32), values(&[::logpipe::rules::Rule::max_chars(100)]);
        source_ip: "source_ip" optional;
        source_ipv6: "source_ipv6" optional;
        tracking: "tracking" optional;
        referrer: "referrer" optional;
    }
}

::logpipe::wire! {
    newtype OrderId(String), pattern(r"^[A-Z]{2}\-[0-9]{6,12}$");
}

::logpipe::wire! {
    enum OrderChannel other {
        Web = "web";
        App = "app";
        Phone = "phone";
    }
}

::logpipe::wire! {
    enum OrderStatus closed {
        New = "new";
        Paid = "paid";
        Shipped = "shipped";
        Cancelled = "cancelled";
    }
}

::logpipe::wire! {
    struct Address closed {
        lines: "lines", min_items(1), max_items(4), each(&[::logpipe::rules::Rule::min_chars(1), ::logpipe::rules::Rule::max_chars(80)]);
        postal_code: "postal_code" optional, pattern(r"^[A-Z0-9][A-Z0-9\u{20}\-]{1,10}$");
        country: "country", pattern("^[A-Z]{2}$");
    }
}

::logpipe::wire! {
    struct Line open {
        sku: "sku", min_chars(1), max_chars(40);
        quantity: "quantity", min(1), max(10000);
        weight_g: "weight_g" optional;
        price: "price", min_decimal("0"), multiple_of_decimal("0.01");
        parts: "parts" optional, max_items(50);
        engraving: "engraving" optional;
    }
}

::logpipe::wire! {
    struct LineEngraving open {
        text: "text", min_chars(1), max_chars(60);
        font: "font" optional;
    }
}

::logpipe::wire! {
    enum LineEngravingFont closed {
        Serif = "serif";
        Sans = "sans";
        Script = "script";
    }
}

::logpipe::wire! {
    enum OrderCurrency closed {
        Eur = "EUR";
    }
}

::logpipe::message! { Order = "order" version 1, of super::Any, key id; }
