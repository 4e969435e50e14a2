//! NATS that lets in only who shows a certificate and knows a password.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::Value;

use crate::{
    common::{Lab, Proc},
    nats::Nats,
};

/// What may be said there: all that a relay needs.
const CONFIG: &str = r#"
tls { cert_file: "FOLDER/server.pem", key_file: "FOLDER/server.key", ca_file: "FOLDER/ca.pem", verify: true }
authorization {
  users = [ { user: relay, password: "right", permissions: { publish: ["p2p1.>"], subscribe: ["p2p1.>"] } } ]
}
"#;

/// Writes what a certificate authority has issued: for the server, for relays, and of another authority.
fn issue(folder: &Path) {
    for (authority, leaves) in [("ca", &["server", "relay"][..]), ("other", &["stranger"])] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.join(format!("{authority}.pem")), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        for leaf in leaves {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            params.extended_key_usages = vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ];
            let certificate = params.signed_by(&key, &issuer).unwrap();
            fs::write(folder.join(format!("{leaf}.pem")), certificate.pem()).unwrap();
            fs::write(folder.join(format!("{leaf}.key")), key.serialize_pem()).unwrap();
        }
    }
}

/// A relay that connects with this password, authority and certificate.
fn relay(lab: &Lab, nats: &Nats, name: &str, (password, ca, own): (&str, &str, &str)) -> Proc {
    let file = |name: String| lab.folder().join(name);
    let url = format!("tls://relay:{password}@127.0.0.1:{}", nats.port());
    let mut command = lab.command(name);
    command
        .args([
            "--json",
            "server",
            "--bind",
            "127.0.0.1:0",
            "--trunk",
            "127.0.0.1:0",
        ])
        .arg("--certs")
        .arg(file("certs".into()))
        .arg("--cluster-key")
        .arg(file("cluster.pem".into()))
        .args(["--node", name, "--cluster", &url])
        .env("NATS_CA", file(format!("{ca}.pem")))
        .env("NATS_CERT", file(format!("{own}.pem")))
        .env("NATS_KEY", file(format!("{own}.key")));
    let relay = Proc::start(command);
    relay.wait_event("ready");
    relay
}

fn cluster(lab: &Lab, name: &str) -> Value {
    lab.run(name, ["server", "status"]).wait_event("status")["cluster"].clone()
}

fn others(lab: &Lab, name: &str) -> Vec<String> {
    let cluster = cluster(lab, name);
    let relays = cluster["relays"].as_array().into_iter().flatten();
    relays
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn relays_meet_over_tls_with_certificate_and_password_and_nobody_else_gets_in() {
    let lab = Lab::empty();
    issue(lab.folder());
    let folder = lab.folder().to_str().unwrap();
    let config = lab.folder().join("nats.conf");
    fs::write(&config, CONFIG.replace("FOLDER", folder)).unwrap();
    let args = ["-c", config.to_str().unwrap()].map(str::to_owned);
    let Some(nats) = Nats::start_with(args.to_vec()) else {
        return;
    };
    // First those that are not let in, so that they have had as long as the others.
    let kept_out = [
        ("password", ("wrong", "ca", "relay")),
        ("server", ("right", "other", "relay")),
        ("certificate", ("right", "ca", "stranger")),
    ];
    let start = |(name, how)| relay(&lab, &nats, name, how);
    let _kept_out: Vec<Proc> = kept_out.into_iter().map(start).collect();
    let _let_in = ["one", "two"].map(|name| start((name, ("right", "ca", "relay"))));
    let deadline = Instant::now() + Duration::from_secs(60);
    for (name, other) in [("one", "two"), ("two", "one")] {
        while others(&lab, name) != [other] {
            assert!(Instant::now() < deadline, "{}", cluster(&lab, name));
        }
        assert_eq!(cluster(&lab, name)["nats"], true);
    }
    for (name, _) in kept_out {
        let cluster = cluster(&lab, name);
        assert_eq!(cluster["nats"], false, "{name}: {cluster}");
        assert!(others(&lab, name).is_empty(), "{name}: {cluster}");
    }
}
