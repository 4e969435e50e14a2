//! By the relay, on receipts on their way.

use crate::{
    protocol::FileIndex,
    sealing::{fixture::*, *},
};

fn receipt(file: u64) -> Receipt {
    Receipt {
        file: FileIndex(file),
        len: file * 10,
        blake3: [9; 32],
        outcome: match file % 2 {
            0 => Outcome::Stored,
            _ => Outcome::AlreadyThere,
        },
    }
}

#[test]
fn batches_read_back_in_their_order_and_in_no_other() {
    let (sealer, mut opened) = solo(Suite::preferred());
    let mut opener = sealer.receipts(opened.receipts.key());
    let most: Vec<Receipt> = (0..RECEIPTS_MAX as u64).map(receipt).collect();
    let first = opened.receipts.seal(&most).unwrap();
    let second = opened.receipts.seal(&[receipt(7)]).unwrap();
    let out_of_order = ReceiptError::NotAuthentic { expected: 0 };
    assert_eq!(opener.open(&second), Err(out_of_order));
    assert_eq!(opener.open(&first), Ok(most));
    let replayed = ReceiptError::NotAuthentic { expected: 1 };
    assert_eq!(opener.open(&first), Err(replayed));
    assert_eq!(opener.open(&second), Ok(vec![receipt(7)]));
}

#[test]
fn the_relay_can_neither_make_nor_change_one() {
    let (sealer, mut opened) = solo(Suite::preferred());
    let key = opened.receipts.key();
    let sealed = opened.receipts.seal(&[receipt(1)]).unwrap();
    for at in 0..sealed.len() {
        let mut forged = sealed.clone();
        forged[at] ^= 1;
        assert!(sealer.receipts(key).open(&forged).is_err());
        assert!(sealer.receipts(key).open(&sealed[..at]).is_err());
    }
    let (other, _) = solo(Suite::preferred());
    assert!(other.receipts(key).open(&sealed).is_err());
}

#[test]
fn a_batch_has_at_least_one_and_at_most_so_many() {
    let (_, mut opened) = solo(Suite::preferred());
    for got in [0, RECEIPTS_MAX + 1] {
        let sealed = opened.receipts.seal(&vec![receipt(1); got]);
        assert_eq!(sealed, Err(ReceiptError::Count { got }));
    }
}
