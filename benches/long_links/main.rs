//! Long links: the table of `docs/performance.md`, beside what TCP makes of the same links.
//!
//! `cargo bench --bench long_links` runs everything, `cargo bench --bench long_links -- 2 tcp` what is named:
//! rows by their names, over two links with `two`, TCP (`tcp`, and `scp`), and the cases in `CASES`. Needs root,
//! iproute2 and nftables; `iperf3` and `sshd` for what is compared. `P2P_BENCH_ROUNDS` (default 3) is
//! how often each is repeated, of which the median is printed; `P2P_BENCH_SCALE` (percent, default 100) makes
//! files smaller. `P2P_BENCH_BINARIES` names other builds of `p2p` by their paths, with colons between them,
//! which are run in turn. On a busy machine,
//! run it by `chrt -r 1`.

#[cfg(target_os = "linux")]
mod cases;
#[cfg(target_os = "linux")]
#[path = "../../tests/common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
#[path = "../../tests/common/far.rs"]
mod far;
#[cfg(target_os = "linux")]
#[path = "../../tests/common/link.rs"]
mod link;
#[cfg(target_os = "linux")]
#[path = "../../tests/network/namespace.rs"]
mod namespace;
#[cfg(target_os = "linux")]
mod tcp;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: the links are emulated with Linux's network namespaces");
}

#[cfg(target_os = "linux")]
fn main() {
    if !namespace::available("all long links") {
        return;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let wanted: Vec<&str> = args
        .iter()
        .map(String::as_str)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let rows = far::rows();
    let known = |name: &str| {
        ["two", "tcp", "scp"].contains(&name)
            || rows.iter().any(|row| row.name == name)
            || cases::CASES.iter().any(|(case, _)| *case == name)
    };
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        eprintln!("no case {unknown}");
        std::process::exit(2);
    }
    let asked = |name: &str| wanted.is_empty() || wanted.contains(&name);
    let named = rows.iter().any(|row| wanted.contains(&row.name));
    let some = ["two", "tcp", "scp"]
        .iter()
        .any(|what| wanted.contains(what));
    for row in rows.iter().filter(|row| {
        if named {
            wanted.contains(&row.name)
        } else {
            wanted.is_empty() || some
        }
    }) {
        let links = [row.shape, row.shape];
        if !some || named {
            cases::row(row, &links[..1], row.aims.0);
        }
        if asked("two")
            && let Some(aim) = row.aims.1
        {
            cases::row(row, &links, aim);
        }
        if asked("tcp") {
            tcp::iperf3(row);
        }
        if asked("scp") {
            tcp::scp(row);
        }
    }
    for (name, run) in cases::CASES {
        if asked(name) {
            run();
        }
    }
}
