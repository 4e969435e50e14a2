//! The demo, as somebody sees it who has just built the program.

use std::fs;

use super::common::{Lab, terminal::Terminal};

#[test]
fn the_demo_fits_a_window_of_80_columns_and_shows_its_bars() {
    let lab = Lab::empty();
    let mut demo = Terminal::open(lab.command("anyone").arg("demo"), (80, 60));
    demo.until("the table's times, whole", |screen| {
        screen.contents().contains("2026-03-14 00:00")
    });
    demo.until("a bar for each and one for both", |screen| {
        let text = screen.contents();
        let bars = text.lines().filter(|row| row.contains('%'));
        bars.count() == 3 && text.contains("all 0 of 2 done")
    });
    assert_eq!(demo.ends(), 0);
    let text = demo.text();
    assert!(!text.contains("2026-03-1…"), "{text}");
    assert!(
        text.contains("everything arrived and is identical"),
        "{text}"
    );
}

#[test]
fn the_demo_takes_directories_and_shows_what_is_in_them() {
    let lab = Lab::empty();
    for i in 0..7 {
        lab.file(&format!("d/inner/{i}"), 100);
    }
    let empty = lab.folder().join("empty");
    fs::create_dir(empty).unwrap();
    let mut demo = lab.run("anyone", ["demo", "d", "empty"]);
    demo.expect(0);
    let shown = demo.events("shown");
    assert_eq!(shown.len(), 5, "{shown:?}");
}
