//! What `p2p show` makes of files.

use std::path::Path;

use super::{
    capture,
    common::{Lab, terminal::Terminal},
};

#[test]
#[ignore = "writes docs/screens"]
fn show() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    for (name, options, file) in [
        ("show-csv", &["-v"][..], "people.csv"),
        ("show-csv-wide", &[], "wide.csv"),
        ("show-json", &["-v"], "order.json"),
        ("show-json-hostile", &[], "hostile.json"),
        ("show-json-broken", &[], "broken.json"),
        ("show-picture", &[], "quadrants.png"),
        ("show-picture-damaged", &[], "truncated.png"),
        ("show-other", &[], "program.bin"),
    ] {
        let mut command = Lab::empty().command("vera");
        command
            .args(options)
            .arg("show")
            .arg(file)
            .current_dir(&samples);
        let mut terminal = Terminal::open(&command, (80, 30));
        assert_eq!(terminal.ends(), 0);
        capture(name, &terminal, &[]);
    }
}
