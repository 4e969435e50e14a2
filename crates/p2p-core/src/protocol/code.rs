//! The one table of application error codes: stream resets, stops, and connection closes.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// Why a stream or a connection ended early (RFC 9000, section 20.2).
        ///
        /// The numbers are the wire's: never reuse one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $name,)*
            /// A code that this version does not know.
            #[serde(other)]
            Unknown,
        }

        impl Code {
            /// Every code that this version knows.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self {
                    $(Code::$name => $number,)*
                    Code::Unknown => u32::MAX,
                }
            }

            /// The code with this number, or [`Code::Unknown`].
            #[must_use]
            pub const fn from_number(number: u64) -> Self {
                match number {
                    $($number => Code::$name,)*
                    _ => Code::Unknown,
                }
            }

            /// What it means, as the end of a sentence.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self {
                    $(Code::$name => $text,)*
                    Code::Unknown => "ended for a reason that this version does not know",
                }
            }
        }
    };
}

codes! {
    /// Everything was done.
    Done = 0, "everything was done";
    /// The other side broke the protocol.
    Protocol = 1, "the other side does not keep to the protocol";
    /// The relay does not admit this room.
    NotAdmitted = 2, "the relay does not admit this room";
    /// The same identity began to listen on a newer connection.
    Replaced = 3, "the same identity now listens elsewhere";
    /// The relay is going away; a listener comes back later.
    Shutdown = 4, "the relay is shutting down";
    /// A cap on peers, streams or transfers is reached.
    Busy = 5, "the relay is full";
    /// A person or program cancelled.
    Cancelled = 6, "the other side stopped it";
    /// The sender's file changed while it was being sent.
    SourceChanged = 7, "the file changed while it was being sent";
    /// The recipient fell further behind than the relay will hold for it; it may resume.
    Behind = 8, "the recipient fell too far behind";
    /// Nobody knows this transfer (any more).
    UnknownTransfer = 9, "the other side does not know this transfer";
    /// A deadline passed.
    Timeout = 10, "no progress within the time allowed";
    /// What arrived is not what was signed and sealed.
    Verification = 11, "what arrived is not what was sent";
    /// The recipient could not store the file.
    Storage = 12, "the recipient could not store it";
    /// The recipient has this already.
    NotNeeded = 13, "the recipient has it already";
    /// The peer at the other end of the transfer is gone.
    PeerGone = 14, "the other side went away";
    /// The recipient declined.
    Declined = 15, "declined";
    /// A message, header, frame or file is larger than allowed.
    TooLarge = 16, "larger than allowed";
    /// The peer answered after the transfer had begun; it will be offered again.
    TooLate = 17, "the answer came after the transfer had begun";
    /// The sender could not read its file.
    Source = 18, "the sender could not read it";
    /// Something failed at this end that is nobody's fault on the wire.
    Internal = 19, "an internal error";
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_keeps_its_number_and_no_two_share_one() {
        for (i, code) in Code::ALL.iter().enumerate() {
            assert_eq!(code.number() as usize, i);
            assert_eq!(Code::from_number(i as u64), *code);
        }
        assert_eq!(Code::from_number(9_999), Code::Unknown);
    }

    #[test]
    fn a_code_from_a_later_version_is_tolerated_in_json() {
        assert_eq!(
            serde_json::from_str::<Code>("\"behind\"").unwrap(),
            Code::Behind
        );
        assert_eq!(
            serde_json::from_str::<Code>("\"brand_new\"").unwrap(),
            Code::Unknown
        );
    }
}
