//! What only people can decide about old versions: where a newer one asks for more than the older one has.

use logpipe::types::Email;

use crate::person;

/// Our decisions, one method for each step that is not lossless.
pub struct Decisions;

impl person::Upcasts for Decisions {
    /// Version 1 has no email. The address is one that can never be delivered to, and says whose it is.
    fn v1_to_v2(&self, person: person::v1::Person) -> person::v2::Person {
        let email = format!("{}@unknown.invalid", person.uuid);
        person::v2::Person {
            email: email.parse::<Email>().expect("a UUID is a local part"),
            uuid: person.uuid,
            first_name: person.first_name,
            last_name: person.last_name,
        }
    }
}
