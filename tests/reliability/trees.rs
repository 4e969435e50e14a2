//! Directories: what arrives is what was there, and nothing else.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use super::common::{Lab, MIB, assert_same};

#[test]
fn a_tree_arrives_whole() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let tree = lab.folder().join("tree");
    fs::create_dir_all(tree.join("sub/empty")).unwrap();
    for name in ["ünï 文.txt", "sub/файл.csv", "سلام", "emoji 🦀.md", "zero"] {
        fs::write(tree.join(name), name).unwrap();
    }
    fs::write(tree.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(tree.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../zero", tree.join("sub/link")).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let zero = fs::File::options()
        .write(true)
        .open(tree.join("zero"))
        .unwrap();
    zero.set_modified(long_ago).unwrap();

    lab.send("sender", &["--to", "alice"], &[&tree]).expect(0);
    let out = lab.out("alice").join("tree");
    assert!(out.join("sub/empty").is_dir());
    for name in ["ünï 文.txt", "sub/файл.csv", "سلام", "emoji 🦀.md", "zero"] {
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), name);
    }
    let mode = |name| fs::metadata(out.join(name)).unwrap().permissions().mode();
    assert_eq!(
        (mode("run.sh") & 0o111 != 0, mode("zero") & 0o111),
        (true, 0)
    );
    assert_eq!(
        fs::read_link(out.join("sub/link")).unwrap(),
        Path::new("../zero")
    );
    assert_eq!(
        fs::metadata(out.join("zero")).unwrap().modified().unwrap(),
        long_ago
    );
}

#[test]
fn hard_links_are_kept_and_their_file_is_sent_and_counted_once() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let (big, small) = (lab.file("tree/m/big", 3 * MIB), lab.file("tree/small", 10));
    for (file, name) in [
        (&big, "tree/a"),
        (&big, "tree/z/z"),
        (&small, "tree/b"),
        (&big, "x"),
    ] {
        let name = lab.folder().join(name);
        fs::create_dir_all(name.parent().unwrap()).unwrap();
        fs::hard_link(file, name).unwrap();
    }
    let send = || lab.send("bob", &["--to", "alice"], &["tree", "x"]);
    send().expect(0);
    let offer = alice.wait_event("offer");
    assert_eq!(
        (&offer["files"], &offer["bytes"]),
        (&2.into(), &(3 * MIB + 10).into())
    );
    assert_eq!(alice.wait_event("done")["bytes"], 3 * MIB + 10);
    let out = lab.out("alice");
    let inode = |name: &str| fs::metadata(out.join(name)).unwrap().ino();
    let inodes = ["tree/m/big", "tree/a", "tree/z/z", "x"].map(inode);
    assert!(inodes.iter().all(|found| *found == inodes[0]), "{inodes:?}");
    assert_eq!(inode("tree/small"), inode("tree/b"));
    assert_ne!(inode("tree/small"), inode("x"));
    assert_same(&big, &out.join("x"));
    let stored = lab.stored("alice");
    // Again: nothing is stored a second time.
    send().expect(0);
    assert_eq!(lab.stored("alice"), stored);
    // Under a name that is taken, the links follow the file.
    fs::remove_dir_all(out.join("tree")).unwrap();
    fs::write(out.join("x"), "mine").unwrap();
    send().expect(0);
    assert_eq!(fs::read(out.join("x")).unwrap(), b"mine");
    assert_eq!(inode("x (1)"), inode("tree/m/big"));
}

#[test]
fn a_symlink_that_leaves_the_tree_is_refused_and_named() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let tree = lab.folder().join("tree");
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("good.txt"), "good").unwrap();
    symlink("../../etc/passwd", tree.join("up")).unwrap();
    symlink("/etc/passwd", tree.join("absolute")).unwrap();
    let mut sender = lab.send("sender", &["--to", "alice"], &[&tree]);
    sender.expect(7);
    let said = format!("{}{:?}", sender.stderr(), sender.events("failed"));
    assert!(said.contains("up") && said.contains("absolute"), "{said}");
    assert_eq!(lab.stored("alice"), ["tree/good.txt"]);
}

#[test]
fn what_is_excluded_stays_behind() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    for name in [
        "t/keep.txt",
        "t/drop.tmp",
        "t/sub/drop.tmp",
        "t/cache/inside.txt",
    ] {
        lab.file(name, 10);
    }
    let options = ["--to", "alice", "--exclude", "*.tmp", "--exclude", "cache"];
    lab.send("sender", &options, &[lab.folder().join("t")])
        .expect(0);
    assert_eq!(lab.stored("alice"), ["t/keep.txt"]);
}

#[test]
fn what_is_excluded_follows_the_rules_of_gitignore() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    for name in [
        "t/a.log",
        "t/keep.log",
        "t/out/x",
        "t/src/out/y",
        "t/src/e/z",
    ] {
        lab.file(name, 10);
    }
    let rules = ["*.log", "!keep.log", "/out", "e/"];
    let exclude = rules.iter().flat_map(|rule| ["--exclude", rule]);
    let options: Vec<&str> = ["--to", "alice"].into_iter().chain(exclude).collect();
    lab.send("sender", &options, &[lab.folder().join("t")])
        .expect(0);
    assert_eq!(lab.stored("alice"), ["t/keep.log", "t/src/out/y"]);
}

#[test]
fn a_tree_with_the_senders_own_home_goes_without_its_keys_and_says_so() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let first = lab.file("first.txt", 10);
    lab.send("sender", &["--to", "alice"], &[&first]).expect(0);
    let home = lab.home("sender");
    fs::write(home.join("notes.txt"), "mine").unwrap();
    let mut sender = lab.send("sender", &["--to", "alice"], &[&home]);
    sender.expect(0);
    let said = sender.stderr();
    assert!(
        said.contains("left out: ") && said.contains("identity.pem"),
        "{said}"
    );
    let stored = lab.stored("alice");
    assert!(stored.iter().any(|path| path.ends_with("/notes.txt")));
    assert!(
        !stored
            .iter()
            .any(|path| path.contains("identity.pem") || path.ends_with("/invite")),
        "{stored:?}"
    );
    let mut sender = lab.send("sender", &["--to", "alice"], &[home.join("identity.pem")]);
    sender.expect(7);
    assert!(sender.stderr().contains("keys"), "{}", sender.stderr());
}

/// Names that programs stumble over, of every kind of the public lists of such strings.
#[cfg(target_os = "linux")]
const NAUGHTY: &[&str] = &[
    "undefined",
    "null",
    "NaN",
    "-1",
    "0",
    "1E+02",
    "1/2",
    "$1.00",
    "0x0",
    "-Infinity",
    "--help",
    "-rf",
    "-",
    "~",
    "~root",
    "$HOME",
    "$(touch x)",
    "`id`",
    "%s%s%n",
    "%00",
    "%2e%2e",
    "a;b",
    "a&&b",
    "a|b",
    "a>b",
    "<a>",
    "a\"b",
    "a'b",
    "a\\b",
    "\\\\server\\share",
    "C:\\Windows",
    "C:",
    "a:b",
    "2024-01-01T12:00:00Z.log",
    "Re: offer.eml",
    "Foo::Bar.3pm",
    "aux",
    "aux.c",
    "CON",
    "com1.txt",
    "LPT9",
    "NUL",
    "a.",
    "a..",
    "a ",
    " a",
    " ",
    "a b",
    "a  b",
    "*",
    "?",
    "[a-z]",
    "{a,b}",
    "!",
    "#",
    "@",
    "=",
    "+",
    ",",
    "Ω≈ç√∫˜µ≤≥÷",
    "åß∂ƒ©˙∆˚¬…æ",
    "田中さんにあげて下さい",
    "社會科學院語學研究所",
    "울란바토르",
    "𠜎𠜱𠝹",
    "Ⱥ",
    "ヽ༼ຈل͜ຈ༽ﾉ",
    "(｡◕ ∀ ◕｡)",
    "😍",
    "👩🏽",
    "👨‍👩‍👦",
    "🐵 🙈 🙉 🙊",
    "❤️",
    "🇺🇸",
    "1️⃣",
    "１２３",
    "١٢٣",
    "الكل في المجمو عة",
    "בְּרֵאשִׁית",
    "نامه‌ها",
    "क्‍ष",
    "Z̮̞̠͙͔ͅḀ̗̞͈̻̗Ḷ͙͎̯̹̞͓G̻O̭̗̮",
    "ﬀ",
    "İıſß",
    "e\u{301}",
    "\u{e9}",
    "<script>alert(0)<",
    "javascript:alert(1)",
    "' OR 1=1 -- 1",
    "1;DROP TABLE users",
    "() { 0; }; touch x",
    "{0}",
    "{{7*7}}",
    "http:",
    "x@y.z",
    "Power لُلُصّبُلُلصّبُررً ॣ ॣh ॣ ॣ 冗",
];

#[cfg(target_os = "linux")]
#[test]
fn every_name_that_both_systems_can_hold_arrives_as_it_is() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let names = NAUGHTY.iter().filter(|name| !name.contains('/'));
    let mut expected: Vec<String> = Vec::new();
    for name in names {
        lab.file(&format!("t/{name}"), 3);
        lab.file(&format!("t/d {name}/{name}"), 4);
        expected.extend([format!("t/{name}"), format!("t/d {name}/{name}")]);
    }
    lab.send("sender", &["--to", "alice"], &[lab.folder().join("t")])
        .expect(0);
    expected.sort();
    let mut stored = lab.stored("alice");
    stored.sort();
    assert_eq!(stored, expected);
    // And alone, where they are not options or hidden.
    let single = lab.file("Re: C:\\offer?.", 5);
    lab.send("sender", &["--to", "alice"], &[&single]).expect(0);
    alice.wait_where("received", 1, |event| {
        event["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("Re: C:\\offer?."))
    });
}

#[test]
fn a_tree_lands_beside_one_that_is_there_and_goes_on_there_after_a_kill() {
    let (lab, _relay) = Lab::new();
    fs::create_dir(lab.out("alice").join("t")).unwrap();
    fs::write(lab.out("alice").join("t/mine"), "mine").unwrap();
    let mut alice = lab.listen("alice", &[]);
    for i in 0..40 {
        lab.file(&format!("t/{i:02}"), 200_000);
    }
    let tree = lab.folder().join("t");
    let mut sender = lab.send("sender", &["--to", "alice", "--limit", "2Mi"], &[&tree]);
    alice.wait_where("received", 8, |_| true);
    alice.kill();
    let _alice = lab.listen("alice", &[]);
    sender.expect(0);
    let mut stored = lab.stored("alice");
    stored.sort();
    let mut expected: Vec<String> = (0..40).map(|i| format!("t (1)/{i:02}")).collect();
    expected.push("t/mine".to_owned());
    expected.sort();
    assert_eq!(stored, expected);
}

#[cfg(target_os = "linux")]
#[test]
fn a_hole_of_ten_gibibytes_costs_next_to_nothing_and_stays_one() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let image = lab.folder().join("disk.img");
    let size = match std::env::var_os("P2P_TEST_SCALE") {
        Some(_) => 10 << 30,
        None => 256 << 20,
    };
    let file = fs::File::create(&image).unwrap();
    file.set_len(size).unwrap();
    file.write_all_at(b"begin", 0).unwrap();
    file.write_all_at(b"middle", size / 2).unwrap();
    drop(file);
    lab.send("sender", &["--to", "alice"], &[&image]).expect(0);
    alice.wait_event("received");
    let stored = lab.out("alice").join("disk.img");
    let found = fs::metadata(&stored).unwrap();
    assert_eq!(found.len(), size);
    assert!(found.blocks() * 512 < 2 << 20, "{} blocks", found.blocks());
    let mut middle = [0; 6];
    fs::File::open(&stored)
        .unwrap()
        .read_exact_at(&mut middle, size / 2)
        .unwrap();
    assert_eq!(&middle, b"middle");
}

#[test]
fn modes_are_kept_where_that_is_asked_for() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    for (tree, options, expected) in [
        (
            "kept",
            &["--to", "alice", "--preserve"][..],
            (0o600, 0o500, 0o700),
        ),
        ("usual", &["--to", "alice"], (0o644, 0o755, 0o755)),
    ] {
        let root = lab.folder().join(tree);
        lab.file(&format!("{tree}/private/secret"), 10);
        lab.file(&format!("{tree}/run"), 10);
        for (name, mode) in [
            ("private/secret", 0o600),
            ("run", 0o4500),
            ("private", 0o700),
        ] {
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        lab.send("sender", options, &[&root]).expect(0);
        let out = lab.out("alice").join(tree);
        let found = (
            mode(&out.join("private/secret")),
            mode(&out.join("run")),
            mode(&out.join("private")),
        );
        assert_eq!(found, expected, "{tree}");
    }
}
