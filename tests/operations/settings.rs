//! Options from a file.

use std::fs;

use crate::common::{Lab, text};

#[test]
fn a_relay_reads_its_options_from_a_file_and_check_says_what_is_wrong_with_it() {
    let mut lab = Lab::empty();
    let file = lab.folder().join("relay.toml");
    let path = file.to_str().unwrap().to_owned();

    let certs = lab.folder().join("certs");
    fs::create_dir(&certs).unwrap();
    let right = format!(
        "# A relay of the office.\npublic = \"relay.example.org\"\ncerts = {certs:?}\nmemory-limit = \"64Mi\"\n\
         [room]\nmembers = 50\nlimit = \"20M\"\nfiles = 16\nspool = \"256Mi\"\n\
         [rooms.buva4a-mre6cp-thhtjp-wytpbs-kgon7i-43kcpp-b2ixmn-skuxme-fv7aav]\nmembers = 500\n\
         [network]\nconnections = 100\nhandshakes = 20\n"
    );
    fs::write(&file, &right).unwrap();
    let mut check = lab.run("relay", ["server", "--config", &path, "--check"]);
    assert_eq!(check.wait(), 0, "{}", check.stderr());
    assert!(check.stderr().contains("the settings are right"));
    assert_eq!(
        fs::read_dir(&certs).unwrap().count(),
        0,
        "a check makes nothing"
    );

    for (wrong, says) in [
        ("max_peers = 7\n", "unknown field `max_peers`"),
        ("\nlimit = \"much\"\n", "line 2"),
        ("bind = \"nowhere\"\n", "line 1: invalid socket address"),
        ("certs = \"/nonexistent/of/all\"\n", "no directory"),
        ("open = \n", "line 1"),
        ("\n[room]\nmembers = 0\n", "line 3"),
        ("[room]\npeers = 7\n", "unknown field `peers`"),
        ("[rooms.nonsense]\nfiles = 1\n", "line 1"),
        ("[network]\nhandshakes = \"many\"\n", "line 2"),
        ("drain = \"soon\"\n", "line 1"),
        ("log-level = \"loud\"\n", "line 1"),
        ("audit = \"/nonexistent/of/all/audit\"\n", "no directory"),
    ] {
        fs::write(&file, wrong).unwrap();
        let mut check = lab.run("relay", ["server", "--config", &path, "--check"]);
        assert_eq!(check.wait(), 2, "{wrong}");
        let said = check.stderr();
        assert!(said.contains(says), "{wrong}: {said}");
    }

    fs::write(&file, &right).unwrap();
    let relay = lab.relay(&["--config", &path]);
    let invite = lab.invite().to_owned();
    assert!(invite.starts_with("p2p://relay.example.org:"), "{invite}");
    assert!(certs.join("relay.pem").exists());
    drop(relay);

    let relay = lab.run(
        "relay",
        [
            "server",
            "--bind",
            "127.0.0.1:0",
            "--config",
            &path,
            "--public",
            "other.example.org",
        ],
    );
    let invite = text(&relay.wait_event("ready"), "invite");
    assert!(invite.starts_with("p2p://other.example.org:"), "{invite}");
}
