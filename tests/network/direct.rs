//! Files go from peer to peer where they can, and through the relay where they cannot.

use std::{thread, time::Instant};

use serde_json::Value;

use crate::{
    common::{Lab, MIB, assert_same, scaled, text},
    namespace::available,
    nat::{Internet, Kind},
};

#[test]
fn every_pair_of_networks_goes_direct_that_can_and_no_other_waits() {
    let test = "every_pair_of_networks_goes_direct_that_can_and_no_other_waits";
    if !available(test) {
        return;
    }
    let pairs: Vec<_> = Kind::ALL
        .into_iter()
        .flat_map(|sender| Kind::ALL.map(|recipient| (sender, recipient)))
        .collect();
    // Four at a time: each is a few processes that mostly wait.
    let roads: Vec<_> = pairs
        .chunks(4)
        .flat_map(|pairs| {
            let pairs = pairs.iter().copied();
            let running: Vec<_> = pairs
                .map(|pair| thread::spawn(move || road(pair)))
                .collect();
            running.into_iter().map(|pair| pair.join().unwrap())
        })
        .collect();
    eprintln!(
        "sender \\ recipient   {}",
        Kind::ALL.map(|k| format!("{:<18}", k.name())).concat()
    );
    for (kind, row) in Kind::ALL.iter().zip(roads.chunks(4)) {
        let cells: String = row.iter().map(|cell| format!("{cell:<18}")).collect();
        eprintln!("{:<20} {cells}", kind.name());
    }
    let direct = roads
        .iter()
        .filter(|road| road.starts_with("direct"))
        .count();
    eprintln!("{direct} of {} pairs go direct", roads.len());
    for (pair, road) in pairs.into_iter().zip(roads) {
        let names = format!("{} to {}", pair.0.name(), pair.1.name());
        assert_eq!(
            road.starts_with("direct"),
            can_be_joined(pair),
            "{names}: {road}"
        );
    }
}

/// Whether a path can be opened between two networks.
fn can_be_joined((a, b): (Kind, Kind)) -> bool {
    (a, b) != (Kind::Symmetric, Kind::Symmetric)
}

/// The road that a file took between two networks, and how long that was.
fn road(pair: (Kind, Kind)) -> String {
    let mut net = Internet::new(&[]);
    let (here, there) = (net.home(pair.0), net.home(pair.1));
    let alice = net.listen(&there.machine, "alice", &[]);
    let file = net.lab.file("data.bin", 3 * MIB);
    // Where a path must be found, nothing else will do, however slow the machine is; where there can be
    // none, there is time enough to find one.
    let (limit, road) = match can_be_joined(pair) {
        true => ("1Gi", "direct"),
        false => ("1Mi", ""),
    };
    let begun = Instant::now();
    let args = [
        "send",
        "--to",
        "alice",
        "--limit",
        limit,
        file.to_str().unwrap(),
    ];
    let mut send = net.run_with(&here.machine, "sender", &args, &[("P2P_ROAD", road)]);
    if send.wait() != 0 {
        return "failed".to_owned();
    }
    let took = begun.elapsed().as_secs_f64();
    assert_same(&file, &net.lab.out("alice").join("data.bin"));
    let delivered = text(&send.wait_event("delivered"), "road");
    assert_eq!(text(&alice.wait_event("received"), "road"), delivered);
    format!("{delivered}, {took:.1} s")
}

/// Cut once, and with `P2P_TEST_SCALE` at 100 a hundred times, each time at another moment.
#[test]
fn a_file_goes_on_through_the_relay_whenever_its_direct_path_is_cut() {
    if !available("a_file_goes_on_through_the_relay_whenever_its_direct_path_is_cut") {
        return;
    }
    let cuts = scaled(1, 100);
    let mut net = Internet::new(&[]);
    let (here, there) = (
        net.home(Kind::PortRestricted),
        net.home(Kind::PortRestricted),
    );
    let alice = net.listen(&there.machine, "alice", &[]);
    // From one cut to the next are twenty seconds and more: two until it is noticed, five until another path is
    // looked for, and more than ten that it lasts, or the pause before the next would be longer.
    let size = (10 + 20 * (cuts - 1)) * MIB;
    let limit = if cuts == 1 { "1Mi" } else { "600Ki" };
    let file = net.lab.file("data.bin", size);
    let to = ["send", "--to", "alice", "--limit", limit];
    let mut send = net.run(
        &here.machine,
        "sender",
        &[&to[..], &[file.to_str().unwrap()]].concat(),
    );
    let on = |road: &'static str| move |event: &Value| event["road"] == road;
    let progress = |road| {
        let events = alice.events("progress");
        events.iter().filter(|e| on(road)(e)).count()
    };
    for cut in 1..=usize::try_from(cuts).unwrap() {
        send.wait_where("road", cut, on("direct"));
        // Seen to move there for as long as makes it a good path, and then as much further as the number says.
        let (since, lasts) = (Instant::now(), if cut == 1 { 0 } else { 11 });
        let mut moved = progress("direct") + 1 + cut % 7;
        alice.wait_where("progress", moved, on("direct"));
        while since.elapsed().as_secs() < lasts {
            moved += 1;
            alice.wait_where("progress", moved, on("direct"));
        }
        let moved = progress("relay");
        let at = Instant::now();
        here.cut(&there);
        send.wait_where("road", cut, on("relay"));
        let noticed = at.elapsed().as_secs_f64();
        alice.wait_where("progress", moved + 1, on("relay"));
        let gone_on = at.elapsed().as_secs_f64();
        eprintln!("cut {cut}: noticed after {noticed:.1} s, went on after {gone_on:.1} s");
        here.mend();
    }
    send.expect(0);
    let again = here.machine.sent().saturating_sub(size + size / 16) / cuts;
    eprintln!(
        "{:.1} MiB sent again for each cut",
        again as f64 / MIB as f64
    );
    assert!(again <= 16 * MIB, "{again} bytes for each cut");
    assert_same(&file, &net.lab.out("alice").join("data.bin"));
    // In one go: nothing was asked for again from the disk, or by another offer.
    assert_eq!(alice.wait_event("received")["resumed_from"], 0);
    assert_eq!(send.events("offered").len(), 1);
}

#[test]
fn two_processes_on_one_machine_go_direct_where_that_is_asked_for() {
    let (lab, _relay) = Lab::new();
    let out = lab.out("alice");
    let mut command = lab.command("alice");
    command.args([
        "--json",
        "listen",
        "--name",
        "alice",
        "--out",
        out.to_str().unwrap(),
    ]);
    command.env("P2P_ROAD", "direct");
    let alice = crate::common::Proc::start(command);
    alice.wait_event("joined");
    let files = [lab.file("small", 10), lab.file("large", 20 * MIB)];
    let mut command = lab.command("sender");
    command
        .args(["--json", "send", "--to", "alice"])
        .args(&files);
    command.env("P2P_ROAD", "direct");
    let mut send = crate::common::Proc::start(command);
    send.expect(0);
    for file in &files {
        let name = file.file_name().unwrap();
        assert_same(file, &out.join(name));
    }
    let roads = |events: Vec<Value>| events.iter().all(|event| event["road"] == "direct");
    assert!(roads(send.events("delivered")) && roads(alice.events("received")));
    assert!(roads(send.events("road")) && send.events("road").len() == 1);
}
