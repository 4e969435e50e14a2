//! Real proxies from Debian on the way to the relay.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    common::{Lab, MIB, Proc, assert_same},
    namespace::installed,
    tcp::{lab_without_udp, send_with, tcp_address},
};

/// A server that is ended when it is dropped.
struct Server(Child);

impl Server {
    /// Starts it and waits until it takes connections.
    fn start(program: &str, args: &[&str], address: SocketAddr) -> Self {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null());
        let server = Self(command.spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "{program} does not listen");
            std::thread::yield_now();
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // By a signal that lets nginx end its workers as well.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn write(path: &Path, text: &str) -> String {
    fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn an_http_proxy_is_used_with_its_password_and_not_for_hosts_that_are_excepted() {
    let test = "an_http_proxy_is_used_with_its_password_and_not_for_hosts_that_are_excepted";
    if !installed("tinyproxy", test) {
        return;
    }
    let (lab, _relay) = lab_without_udp();
    let address = free_address();
    let log = lab.folder().join("proxy.log");
    let config = format!(
        "Port {}\nListen 127.0.0.1\nLogFile \"{}\"\nLogLevel Connect\nBasicAuth user word\nAllow 127.0.0.1\n",
        address.port(),
        log.display()
    );
    let config = write(&lab.folder().join("tinyproxy.conf"), &config);
    let _proxy = Server::start("tinyproxy", &["-d", "-c", &config], address);
    let alice = lab.listen("alice", &[]);
    let file = lab.file("data.bin", 20 * MIB);
    let path = file.to_str().unwrap();

    let proxy = format!("http://user:word@{address}");
    let mut send = send_with(&lab, ("HTTPS_PROXY", &proxy), &["--to", "alice", path]);
    send.expect(0);
    assert_eq!(send.wait_event("delivered")["road"], "tcp");
    assert_same(&file, &lab.out("alice").join("data.bin"));
    alice.wait_event("received");
    let said = fs::read_to_string(&log).unwrap();
    assert!(
        said.contains("CONNECT 127.0.0.1:"),
        "it went through the proxy: {said}"
    );

    let wrong = format!("http://user:guess@{address}");
    let mut send = send_with(&lab, ("HTTPS_PROXY", &wrong), &["--to", "alice", path]);
    send.expect(3);
    assert!(
        send.stderr().contains("supported is Basic"),
        "{}",
        send.stderr()
    );

    let mut command = lab.command("sender");
    command.args(["--json", "peers"]);
    command
        .env("HTTPS_PROXY", &wrong)
        .env("NO_PROXY", "127.0.0.0/8");
    Proc::start(command).expect(0);
}

/// A relay that web servers pass clients on to.
struct Site {
    lab: Lab,
    _relay: Proc,
    /// Where the relay takes them.
    behind: SocketAddr,
    /// The relay's own.
    invite: String,
}

impl Site {
    /// With `web.key` and `web.crt` in its folder.
    fn new() -> Self {
        let (lab, relay) = Lab::with_relay(&["--tcp", "127.0.0.1:0"]);
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
            ])
            .args(["-subj", "/CN=web.example", "-keyout"])
            .arg(lab.folder().join("web.key"))
            .arg("-out")
            .arg(lab.folder().join("web.crt"))
            .output()
            .unwrap();
        assert!(made.status.success());
        Self {
            behind: tcp_address(&relay),
            invite: lab.invite().to_owned(),
            _relay: relay,
            lab,
        }
    }

    /// Sends through the web server there, both ways.
    fn is_reached_at(&mut self, address: SocketAddr, label: &str) {
        let lab = &mut self.lab;
        let udp = lab.address().to_owned();
        lab.use_invite(Some(self.invite.replace(&udp, &address.to_string())));
        let name = format!("alice-{label}");
        let alice = lab.listen(&name, &[]);
        let file = lab.file("data.bin", 20 * MIB);
        let mut send = lab.send("sender", &["--to", &name], &[&file]);
        send.expect(0);
        assert_eq!(send.wait_event("delivered")["road"], "tcp");
        assert_eq!(alice.wait_event("received")["road"], "tcp");
        assert_same(&file, &lab.out(&name).join("data.bin"));
    }
}

#[test]
fn a_relay_behind_nginx_is_reached_whether_nginx_ends_tls_or_begins_it_anew() {
    let test = "a_relay_behind_nginx_is_reached_whether_nginx_ends_tls_or_begins_it_anew";
    if !installed("nginx", test) || !installed("openssl", test) {
        return;
    }
    let mut site = Site::new();
    let folder = site.lab.folder().to_owned();
    for upstream in ["http", "https"] {
        let (address, behind) = (free_address(), site.behind);
        let config = format!(
            "daemon off; worker_processes 1; pid {d}/nginx.pid; error_log {d}/nginx.log;
events {{ worker_connections 64; }}
http {{
    access_log {d}/access.log;
    client_body_temp_path {d}/t1; proxy_temp_path {d}/t2; fastcgi_temp_path {d}/t3;
    uwsgi_temp_path {d}/t4; scgi_temp_path {d}/t5;
    server {{
        listen {address} ssl;
        ssl_certificate {d}/web.crt; ssl_certificate_key {d}/web.key; ssl_protocols TLSv1.3;
        location /p2p {{
            proxy_pass {upstream}://{behind};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_ssl_protocols TLSv1.3;
        }}
        location / {{ return 200 'a web site'; }}
    }}
}}
",
            d = folder.display(),
        );
        let config = write(&folder.join("nginx.conf"), &config);
        let nginx = Server::start("nginx", &["-c", &config], address);
        site.is_reached_at(address, upstream);
        let said = fs::read_to_string(folder.join("nginx.log")).unwrap_or_default();
        drop(nginx);
        let requests = fs::read_to_string(folder.join("access.log")).unwrap();
        assert!(
            requests.contains("GET /p2p HTTP/1.1\" 101"),
            "{requests} {said}"
        );
    }
}

#[test]
fn a_relay_behind_caddy_is_reached_whether_caddy_ends_tls_or_begins_it_anew() {
    let test = "a_relay_behind_caddy_is_reached_whether_caddy_ends_tls_or_begins_it_anew";
    if !installed("caddy", test) || !installed("openssl", test) {
        return;
    }
    let mut site = Site::new();
    let folder = site.lab.folder().to_owned();
    for upstream in ["http", "https"] {
        let (address, behind) = (free_address(), site.behind);
        let anew = match upstream {
            "https" => "transport http {\n tls_insecure_skip_verify\n versions 1.1\n }",
            _ => "",
        };
        // Whoever connects to an address names no host. What Caddy answers on the same UDP port is HTTP/3.
        let config = format!(
            "{{
    admin off
    auto_https off
    default_sni web.example
    storage file_system {d}/caddy
    log {{
        output file {d}/caddy.log
    }}
}}
https://:{port} {{
    bind 127.0.0.1
    tls {d}/web.crt {d}/web.key
    log {{
        output file {d}/access.log
    }}
    handle /p2p {{
        reverse_proxy {upstream}://{behind} {{
            {anew}
        }}
    }}
    handle {{
        respond \"a web site\"
    }}
}}
",
            d = folder.display(),
            port = address.port(),
        );
        let config = write(&folder.join("Caddyfile"), &config);
        let args = ["run", "--adapter", "caddyfile", "--config", &config];
        let caddy = Server::start("caddy", &args, address);
        site.is_reached_at(address, upstream);
        drop(caddy);
        let requests = fs::read_to_string(folder.join("access.log")).unwrap();
        assert!(requests.contains("\"uri\":\"/p2p\""), "{requests}");
    }
}
