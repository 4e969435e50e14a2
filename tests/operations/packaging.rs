//! What is shipped for monitoring, against what a relay says.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use p2p::operation::metric_names;
use serde_json::Value;

use crate::metrics::there;

fn packaging(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging")
        .join(path)
}

/// The names of a relay's metrics that a text mentions.
fn mentioned(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("p2p_relay_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_dashboard_and_the_documents_know_every_metric_and_no_other() {
    let names: BTreeSet<String> = metric_names().into_iter().collect();
    let dashboard = fs::read_to_string(packaging("grafana/p2p-relay.json")).unwrap();
    let parsed: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = parsed["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            let balance = |open, close| query.matches(open).count() == query.matches(close).count();
            assert!(
                balance('(', ')') && balance('{', '}') && balance('[', ']'),
                "{query}"
            );
        }
    }
    assert_eq!(
        mentioned(&dashboard),
        names,
        "packaging/grafana/p2p-relay.json"
    );
    let documents = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let documents = fs::read_to_string(documents).unwrap();
    assert_eq!(mentioned(&documents), names, "docs/operations.md");
    let alerts = fs::read_to_string(packaging("compose/alerts.yml")).unwrap();
    let unknown: Vec<_> = mentioned(&alerts).difference(&names).cloned().collect();
    assert!(unknown.is_empty(), "alerts.yml: {unknown:?}");
}

#[test]
fn prometheus_takes_its_settings_the_alerts_and_every_query_of_the_dashboard() {
    if !there("promtool") {
        return;
    }
    let check = |args: &[&str], path: &Path| {
        let checked = Command::new("promtool")
            .args(args)
            .arg(path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stdout).into_owned()
            + &String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{}: {said}", path.display());
    };
    check(&["check", "config"], &packaging("compose/prometheus.yml"));
    let dashboard = fs::read_to_string(packaging("grafana/p2p-relay.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    // As rules, which promtool reads as Prometheus does.
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    for target in panels.flat_map(|panel| panel["targets"].as_array().unwrap()) {
        let query = target["expr"]
            .as_str()
            .unwrap()
            .replace("$__rate_interval", "1m");
        rules += &format!(
            "  - alert: q{}\n    expr: {}\n",
            rules.len(),
            Value::from(query)
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yml");
    fs::write(&path, rules).unwrap();
    check(&["check", "rules"], &path);
}

#[test]
fn docker_compose_takes_its_file() {
    let composes = Command::new("docker").args(["compose", "version"]).output();
    if !composes.is_ok_and(|version| version.status.success()) {
        println!("skipped: there is no docker compose");
        return;
    }
    let checked = Command::new("docker")
        .args(["compose", "--file"])
        .arg(packaging("compose/compose.yaml"))
        .args(["config", "--quiet"])
        .envs([
            ("P2P_PUBLIC", "relay.example.org"),
            ("GRAFANA_PASSWORD", "x"),
        ])
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}
