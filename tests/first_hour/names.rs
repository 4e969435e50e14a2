//! Names that Linux has and others cannot show.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

use super::{
    common::{Lab, Signal, text},
    plain,
};

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_cannot_be_shown_arrives_under_another_that_is_announced() {
    let (lab, _relay) = Lab::new();
    let mut alice = lab.listen("alice", &[]);
    let tree = lab.folder().join("tree");
    fs::create_dir_all(tree.join("d\u{1b}[2J")).unwrap();
    for name in [&b"a\nb"[..], b"Gr\xfcn", b"d\x1b[2J/x", b"plain%20name"] {
        fs::write(tree.join(OsStr::from_bytes(name)), name).unwrap();
    }
    let (code, _, said) = plain(&lab, "bob", &["send", "--to", "alice", "tree"]);
    assert_eq!(code, 0, "{said}");
    for told in [
        r#""a\nb" is sent as tree/a%0Ab"#,
        r#""Gr\xFCn" is sent as tree/Gr%FCn"#,
        r#""d\u{1b}[2J" is sent as tree/d%1B[2J"#,
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert_eq!(said.matches(" is sent as ").count(), 3, "{said}");
    let stored = [
        "tree/Gr%FCn",
        "tree/a%0Ab",
        "tree/d%1B[2J/x",
        "tree/plain%20name",
    ];
    assert_eq!(lab.stored("alice"), stored);
    assert_eq!(
        fs::read(lab.out("alice").join("tree/a%0Ab")).unwrap(),
        b"a\nb"
    );
    // Who sends can refuse that, and so can who receives.
    let args = ["send", "--names", "strict", "--to", "alice", "tree"];
    let (code, _, said) = plain(&lab, "bob", &args);
    assert_eq!(code, 7, "{said}");
    assert!(said.contains("cannot be shown"), "{said}");
    alice.signal(Signal::TERM);
    alice.expect(143);
    fs::remove_dir_all(lab.out("alice")).unwrap();
    let _strict = lab.listen("alice", &["--names", "strict"]);
    let mut sender = lab.send("bob", &["--to", "alice"], &["tree"]);
    sender.expect(6);
    let failed = sender.events("failed");
    assert_eq!(failed.len(), 4, "{failed:?}");
    assert!(text(&failed[0], "reason").contains("--names strict"));
    assert_eq!(lab.stored("alice"), ["tree/plain%20name"]);
}
