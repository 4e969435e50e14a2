//! What strangers send to the relay's TCP port.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{
    common::{Lab, Proc},
    tcp::{send_with, tcp_address},
};

/// From a connection to its end, if the relay ends it by itself.
const LIMIT: Duration = Duration::from_secs(15);

fn connect(relay: &Proc) -> TcpStream {
    let stream = TcpStream::connect(tcp_address(relay)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Everything that the relay answers until it ends the connection.
fn answer(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(e) => panic!("the relay keeps the connection: {e}"),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request for a WebSocket, without TLS, as a reverse proxy makes it.
fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A frame of a client, masked with zeros (RFC 6455, section 5.2).
fn frame(opcode: u8, announced: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode, 0x80 | 127];
    frame.extend_from_slice(&announced.to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn what_is_no_tunnel_is_turned_away() {
    let (lab, relay) = Lab::new();
    let stranger = |said: &[u8]| {
        let mut stream = connect(&relay);
        stream.write_all(said).unwrap();
        answer(stream)
    };
    assert!(stranger(upgrade("/admin").as_bytes()).starts_with("HTTP/1.1 404"));
    assert!(!stranger(b"GET /p2p HTTP/1.1\r\nHost: x\r\n\r\n").contains("101"));
    stranger(b"\x16\x03\x01\x00\x05hello");
    stranger(b"SSH-2.0-OpenSSH_9.2\r\n\r\n");
    // A head that does not end.
    stranger(&[b"GET /p2p HTTP/1.1\r\nA: ".as_slice(), &vec![b'a'; 300_000]].concat());
    is_well(&lab);
}

#[test]
fn a_tunnel_that_carries_rubbish_harms_nobody() {
    let (lab, relay) = Lab::new();
    let tunnel = || {
        let mut stream = connect(&relay);
        stream.write_all(upgrade("/p2p").as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"));
        stream
    };
    // A message of 16 EiB is refused before anything is allocated for it.
    let before = relay.rss();
    let mut stream = tunnel();
    stream.write_all(&frame(2, u64::MAX >> 1, b"")).unwrap();
    let start = Instant::now();
    answer(stream);
    assert!(start.elapsed() < Duration::from_secs(5), "at once");
    assert!(relay.rss() < before + (8 << 20));
    // Packets that are none, packets of no bytes, and no packets.
    for payload in [&b""[..], b"\0\0", b"\x04\xb0", b"\0\x01abc", &[0xff; 1400]] {
        let mut stream = tunnel();
        let _ = stream.write_all(&frame(2, payload.len() as u64, payload));
        let _ = stream.write_all(&frame(1, 2, b"hi"));
        let start = Instant::now();
        answer(stream);
        assert!(start.elapsed() < LIMIT, "no tunnel without a handshake");
    }
    is_well(&lab);
}

#[test]
fn strangers_who_say_nothing_keep_nobody_out() {
    let (lab, relay) = Lab::new();
    let silent: Vec<_> = (0..400).map(|_| connect(&relay)).collect();
    // From another address of this machine, since the strangers have used up theirs.
    let start = Instant::now();
    let alice = lab.listen("alice", &[]);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "UDP is not concerned"
    );
    drop(alice);
    for stream in silent {
        answer(stream);
    }
    is_well(&lab);
}

/// Members still get through, over TCP.
fn is_well(lab: &Lab) {
    let alice = lab.listen("alice", &[]);
    let file = lab.file("data.bin", 100_000);
    let to = ["--to", "alice", file.to_str().unwrap()];
    let mut send = send_with(lab, ("P2P_ROAD", "tcp"), &to);
    send.expect(0);
    alice.wait_event("received");
}
