//! The relay listens: what it forwards says nothing of names or content.

use std::sync::{Arc, Mutex};

use data_encoding::BASE64_NOPAD;
use p2p::protocol::CHUNK_SIZE;
use serde_json::Value;

use super::{
    relay::{Recorded, lock},
    stage::{Stage, assert_delivered},
};

/// Neither occurs by chance, in any encoding that is looked through.
const NAME: &str = "Heliotrope-Ledger-7319.csv";
const CONTENT: &str = "marmalade dirigible 55081 quicksilver";

/// All bytes that a message says something with: its text, and whatever base64 in it stands for.
fn unfold(value: &Value, into: &mut Vec<u8>) {
    match value {
        Value::String(text) => {
            into.extend_from_slice(text.as_bytes());
            into.push(b'\n');
            if let Ok(bytes) = BASE64_NOPAD.decode(text.as_bytes()) {
                match serde_json::from_slice(&bytes) {
                    Ok(inner @ (Value::Object(_) | Value::Array(_))) => unfold(&inner, into),
                    _ => into.extend_from_slice(&bytes),
                }
                into.push(b'\n');
            }
        }
        Value::Array(values) => values.iter().for_each(|value| unfold(value, into)),
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            into.extend_from_slice(key.as_bytes());
            unfold(value, into);
        }),
        _ => {}
    }
}

fn occurs(needle: &str, haystack: &[u8]) -> bool {
    let mut windows = haystack.windows(needle.len());
    windows.any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

#[tokio::test]
async fn the_relay_sees_neither_names_nor_content() {
    let stage = Stage::new();
    let (alice, bob, carol) = (stage.peer("alice"), stage.peer("bob"), stage.peer("carol"));
    let (bob, carol) = (bob.listen().await, carol.listen().await);
    let said: Arc<Mutex<Vec<u8>>> = Arc::default();
    let files: Arc<Mutex<Vec<u8>>> = Arc::default();
    let hear = said.clone();
    stage.liar.on_messages(move |_, message| {
        unfold(&serde_json::to_value(&message).unwrap(), &mut lock(&hear));
        vec![message]
    });
    let record = files.clone();
    stage
        .liar
        .on_files(move |_, _| Some(Box::new(Recorded(record.clone()))));

    let small = stage.file_of(NAME, CONTENT.as_bytes());
    let lines = 2 * CHUNK_SIZE / CONTENT.len();
    let large = stage.file_of(&format!("Large-{NAME}"), CONTENT.repeat(lines).as_bytes());
    assert_delivered(alice.send(&["bob"], &[&small, &large]).await);
    // What is there already would not be sent again.
    bob.clear();
    assert_delivered(alice.broadcast(&[&small, &large]).await);

    // What was recorded is what went: all content, three times, and the offers that say who sends.
    let (said, files) = (lock(&said), lock(&files));
    assert!(files.len() > 3 * lines * CONTENT.len());
    assert!(occurs("alice", &said) && occurs("chunk_size", &said));
    for secret in [NAME, CONTENT, "Heliotrope", "dirigible"] {
        assert!(!occurs(secret, &said), "{secret} was said");
        assert!(!occurs(secret, &files), "{secret} was sent");
    }
    for listening in [bob, carol] {
        let received = listening.received();
        assert!(received.contains(&(NAME.to_owned(), CONTENT.into())));
    }
}
