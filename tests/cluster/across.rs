//! What crosses between two relays: presence, files, trees, broadcasts.

use crate::{
    common::{Lab, MIB, assert_same},
    relays::Cluster,
};

#[test]
fn a_file_goes_to_a_listener_at_another_relay() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("one"), cluster.node("two"));
    let mut lab = Lab::empty();
    lab.use_invite(two.invite());
    let listener = lab.listen("bob", &[]);
    lab.use_invite(one.invite());
    let file = lab.file("report.bin", 3 * MIB);
    let mut sender = lab.send("alice", &["--to", "bob"], &[&file]);
    sender.expect(0);
    listener.wait_event("received");
    assert_same(&file, &lab.out("bob").join("report.bin"));
}
