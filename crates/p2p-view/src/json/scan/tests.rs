use proptest::prelude::*;

use super::*;

fn pieces(text: &[u8], is_part: bool) -> (Vec<Piece<'_>>, Option<Flaw>) {
    let mut scanner = Scanner::new(text, is_part);
    let mut pieces = Vec::new();
    loop {
        match scanner.next() {
            Ok(Piece::End) => return (pieces, None),
            Ok(piece) => pieces.push(piece),
            Err(flaw) => return (pieces, Some(flaw)),
        }
    }
}

fn flaw(text: &str) -> String {
    pieces(text.as_bytes(), false).1.unwrap().to_string()
}

/// Whether `serde_json` takes it for one value or several, each on a line of its own.
fn is_valid(text: &[u8]) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok()
}

#[test]
fn a_flaw_is_told_with_its_place() {
    assert_eq!(flaw("{\n \"é\" 1}"), "line 2, column 6: expected `:`");
    assert_eq!(flaw("[1 2]"), "line 1, column 4: expected `,` or `]`");
    assert_eq!(flaw("{\"a\": 1,}"), "line 1, column 9: expected a name");
    assert_eq!(
        flaw("[01]"),
        "line 1, column 3: a number may not begin with a zero"
    );
    assert_eq!(
        flaw("[1,"),
        "line 1, column 4: the file ends inside an array"
    );
    assert_eq!(
        flaw("{\"a\": \"b"),
        "line 1, column 9: the file ends inside a string"
    );
    assert_eq!(flaw("[NaN]"), "line 1, column 2: expected a value");
    assert!(flaw("[1] [2]").contains("expected the end of the file"));
}

#[test]
fn values_on_lines_of_their_own_are_read_one_by_one() {
    let (found, flaw) = pieces(b"{}\n\n[]\r\n3\n", false);
    assert!(flaw.is_none());
    assert_eq!(found.len(), 5);
}

#[test]
fn the_limit_is_no_fault_of_the_file() {
    for limit in 0..9 {
        let (_, flaw) = pieces(&b"[10, true]"[..limit], true);
        assert!(matches!(flaw.unwrap().problem, Problem::Limit), "{limit}");
    }
    assert!(pieces(b"[10, true]", false).1.is_none());
}

#[test]
fn ten_million_levels_take_little_memory() {
    let deep = vec![b'['; 10_000_000];
    let mut scanner = Scanner::new(&deep, false);
    let flaw = loop {
        if let Err(flaw) = scanner.next() {
            break flaw;
        }
    };
    assert!(matches!(flaw.problem, Problem::Ends(Some(Bracket::Array))));
    // Less than twice the text, whatever it holds.
    assert!(scanner.open.capacity() * size_of::<Bracket>() < 20_000_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_serde_json_accepts_is_accepted_and_nothing_else(
        parts in prop::collection::vec(prop::sample::select(&[
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"", "\\", "\\n", "\\u00e9", "\\ud83d",
            "-", "0", "1", "12", ".5", "e", "E+3", "true", "false", "null", "nul", " ", "\t",
            "é", "\u{7f}", "\u{1}", "[1,2]", "{\"a\":1}", "\"a\":", "[[", "]]",
        ][..]), 0..8)
    ) {
        let text = parts.concat();
        let (found, flaw) = pieces(text.as_bytes(), false);
        let accepted = flaw.is_none() && !found.is_empty();
        prop_assert_eq!(accepted, is_valid(text.as_bytes()), "{}", text);
    }

    #[test]
    fn every_value_written_by_serde_json_is_read_whole(value in value()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let (_, flaw) = pieces(text.as_bytes(), false);
        prop_assert!(flaw.is_none());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        pieces(&bytes, false);
    }
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".*".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::hash_map(".*", inner, 0..8).prop_map(|map| map.into_iter().collect()),
        ]
    })
}
