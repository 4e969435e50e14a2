//! The menu's screens.

use super::{
    capture,
    common::{Lab, MIB, Proc, terminal::Terminal},
};

/// Opens vera's menu, in a window that is as large as most, or small.
fn open(lab: &Lab, size: (u16, u16)) -> Terminal {
    lab.name("vera", "vera");
    let mut command = lab.command("vera");
    command
        .env("HOME", lab.folder())
        .current_dir(lab.folder().join("inbox"));
    Terminal::open(&command, size)
}

/// A laboratory with a folder for vera.
fn lab() -> (Lab, Proc) {
    let (lab, relay) = Lab::with_relay(&["--limit", "4Mi"]);
    std::fs::create_dir(lab.folder().join("inbox")).unwrap();
    (lab, relay)
}

/// Captures with what differs from run to run put in the place of what it was.
fn save(name: &str, menu: &Terminal, lab: &Lab) {
    let (host, port) = lab.address().rsplit_once(':').unwrap_or_default();
    let port = format!(":{port:<5}");
    capture(
        name,
        menu,
        &[(&format!("{host}{}", port.trim_end()), "127.0.0.1:4433")],
    );
}

#[test]
#[ignore = "writes docs/screens"]
fn menu_first_run() {
    let lab = Lab::empty();
    std::fs::create_dir(lab.folder().join("inbox")).unwrap();
    let mut menu = open(&lab, (80, 24));
    menu.sees("Paste an invite");
    save("menu-first-run", &menu, &lab);
}

#[test]
#[ignore = "writes docs/screens"]
fn menu_sending() {
    for (suffix, size) in [("", (80, 24)), ("-small", (40, 12))] {
        let (lab, _relay) = lab();
        let _listeners = ["anna", "bob", "小林"].map(|name| lab.listen(name, &[]));
        lab.file("inbox/dataset.tar", 24 * MIB);
        lab.file("inbox/photos/1.jpg", 4 * MIB);
        lab.file("inbox/report.csv", 48_000);
        let mut menu = open(&lab, size);
        for name in ["● anna", "● bob", "● 小林"] {
            menu.sees(name);
        }
        menu.press("  ");
        menu.sees("2 marked");
        menu.press("s");
        menu.sees("report.csv");
        save(&format!("menu-picker{suffix}"), &menu, &lab);
        menu.press("data\r");
        menu.press("\t");
        menu.until("a third of it there", |screen| {
            (30..50).any(|percent| screen.contents().contains(&format!(" {percent}%")))
        });
        save(&format!("menu-sending{suffix}"), &menu, &lab);
    }
}

#[test]
#[ignore = "writes docs/screens"]
fn menu_receiving() {
    let (lab, _relay) = lab();
    let _bob = lab.listen("bob", &[]);
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let files = ["quadrants.png", "order.json", "people.csv"].map(|name| samples.join(name));
    let mut menu = open(&lab, (80, 24));
    menu.sees("● bob");
    let mut sending = lab.send("bob", &["--to", "vera"], &files);
    menu.sees("accept? y / n");
    save("menu-offer", &menu, &lab);
    menu.press("y");
    menu.sees("✓ received");
    sending.expect(0);
    menu.press("\t\t");
    menu.sees("⏎ open");
    while !menu.text().contains("Grace Hopper") {
        let before = menu.text();
        menu.press("\x1b[B");
        menu.until("another preview", |screen| {
            let text: String = screen
                .rows(0, 80)
                .map(|row| row.trim_end().to_owned() + "\n")
                .collect();
            text != before && text.contains("┌ people.csv") == text.contains("Grace Hopper")
        });
    }
    save("menu-arrived", &menu, &lab);
    menu.press("?");
    menu.sees("suspend");
    save("menu-keys", &menu, &lab);
}
