//! NATs of four kinds, made of nftables: an internet with two homes, and a relay.

use std::process::Stdio;

use crate::{
    common::{Lab, Proc, text},
    namespace::Namespace,
};

/// How a home is connected to the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By a public address of its own.
    Open,
    /// One mapping for all, and whoever knows it gets in.
    FullCone,
    /// One mapping for all; what was sent to opens it, for that address and port.
    PortRestricted,
    /// A mapping for each destination.
    Symmetric,
}

impl Kind {
    pub const ALL: [Self; 4] = [
        Self::Open,
        Self::FullCone,
        Self::PortRestricted,
        Self::Symmetric,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::FullCone => "full cone",
            Self::PortRestricted => "port-restricted",
            Self::Symmetric => "symmetric",
        }
    }
}

/// A machine, behind its router where there is one.
pub struct Home {
    pub machine: Namespace,
    router: Option<Namespace>,
    /// How the internet knows it.
    pub public: String,
}

/// The internet: a relay, and what routes between homes.
pub struct Internet {
    pub lab: Lab,
    pub core: Namespace,
    homes: u8,
    _relay: Proc,
}

impl Internet {
    /// With a relay that was given these options.
    pub fn new(options: &[&str]) -> Self {
        let core = Namespace::new("core");
        forward(&core);
        core.ip("addr add 198.51.100.1/32 dev lo");
        let mut lab = Lab::empty();
        let mut command = lab.command("relay");
        command
            .args(["--json", "server", "--bind", "198.51.100.1:4433"])
            .args(options);
        let relay = Proc::start(core.inside(&command));
        let invite = text(&relay.wait_event("ready"), "invite");
        lab.use_invite(Some(invite));
        Self {
            lab,
            core,
            homes: 0,
            _relay: relay,
        }
    }

    /// One more home, connected so.
    pub fn home(&mut self, kind: Kind) -> Home {
        self.homes += 1;
        let n = self.homes;
        let (public, gateway) = (
            format!("203.0.113.{}/31", 2 * n),
            format!("203.0.113.{}/31", 2 * n + 1),
        );
        let address = public[..public.len() - 3].to_owned();
        let route = format!("route add default via {}", &gateway[..gateway.len() - 3]);
        let machine = Namespace::new("home");
        if kind == Kind::Open {
            machine.connect(&self.core, (&[&public], &[&gateway]));
            machine.ip(&route);
            return Home {
                machine,
                router: None,
                public: address,
            };
        }
        let router = Namespace::new("nat");
        forward(&router);
        let outward = router.connect(&self.core, (&[&public], &[&gateway]));
        router.ip(&route);
        let (inside, host) = (format!("10.0.{n}.1/24"), format!("10.0.{n}.2/24"));
        machine.connect(&router, (&[&host], &[&inside]));
        machine.ip(&format!("route add default via 10.0.{n}.1"));
        let pre = match kind {
            Kind::FullCone => format!("iif {outward} meta l4proto udp dnat to 10.0.{n}.2;"),
            _ => String::new(),
        };
        let flag = match kind {
            Kind::Symmetric => "fully-random",
            _ => "",
        };
        // What was not asked for must not leave a mark in the table of connections, or the next packet
        // outwards would get another port.
        router.nft(&format!(
            "table ip n {{
                chain pre {{ type nat hook prerouting priority dstnat; {pre}
                }}
                chain post {{ type nat hook postrouting priority srcnat; oif {outward} masquerade {flag};
                }}
                chain in {{ type filter hook input priority 0; iif {outward} ct state new drop;
                }}
            }}\n"
        ));
        Home {
            machine,
            router: Some(router),
            public: address,
        }
    }

    /// Runs `p2p --json` as `who`, there.
    pub fn run(&self, place: &Namespace, who: &str, args: &[&str]) -> Proc {
        self.run_with(place, who, args, &[])
    }

    /// The same, with these variables.
    pub fn run_with(
        &self,
        place: &Namespace,
        who: &str,
        args: &[&str],
        variables: &[(&str, &str)],
    ) -> Proc {
        let mut command = self.lab.command(who);
        command.arg("--json").args(args);
        command.envs(variables.iter().copied());
        let mut command = place.inside(&command);
        command.stdin(Stdio::null());
        Proc::start(command)
    }

    /// A listener there, in its room.
    pub fn listen(&self, place: &Namespace, name: &str, options: &[&str]) -> Proc {
        let out = self.lab.out(name);
        let out = out.to_str().expect("a path of the tests' own");
        let args = [&["listen", "--name", name, "--out", out], options].concat();
        let listener = self.run(place, name, &args);
        listener.wait_event("joined");
        listener
    }
}

impl Home {
    /// Lets nothing pass between two homes.
    pub fn cut(&self, other: &Self) {
        let public = &other.public;
        let place = self.router.as_ref().unwrap_or(&self.machine);
        place.nft(&format!(
            "table ip cut {{
                chain f {{ type filter hook forward priority -1; ip daddr {public} drop; ip saddr {public} drop;
                }}
                chain o {{ type filter hook output priority -1; ip daddr {public} drop;
                }}
                chain i {{ type filter hook input priority -1; ip saddr {public} drop;
                }}
            }}\n"
        ));
    }
}

impl Home {
    /// Lets everything pass again.
    pub fn mend(&self) {
        let place = self.router.as_ref().unwrap_or(&self.machine);
        place.nft("delete table ip cut\n");
    }
}

fn forward(place: &Namespace) {
    let mut command = place.command("sysctl");
    command.args(["-qw", "net.ipv4.ip_forward=1"]);
    assert!(command.status().unwrap().success());
}
