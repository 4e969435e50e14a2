//! One test per attack, by whoever could make it: the relay, a stranger, a member, a co-recipient.

mod by_a_co_recipient;
mod on_a_file;
mod on_an_offer;
mod on_receipts;
