use super::{
    pipes::{Step, chunks, head, plan, trailer},
    *,
};
use crate::protocol::PlanEntry;

const LENS: [usize; 5] = [70_000, 70_000, 3, 70_000, 11];

fn all() -> Vec<u8> {
    [head(), chunks(0, &LENS), trailer()].concat()
}

fn from(first: u32) -> Vec<u8> {
    [head(), chunks(first, &LENS), trailer()].concat()
}

#[tokio::test]
async fn each_recipient_gets_the_chunks_that_the_plan_leaves_it_and_nobody_the_plan() {
    let plan = plan(&[(1, 2), (2, 5), (3, 0), (9, 1)]);
    let sent = [head(), plan, chunks(0, &LENS), trailer()].concat();
    for cut in [1, 7, 1000, sent.len()] {
        let relay = Relay::new();
        let taps: Vec<_> = (0..5).map(|_| Tap::open()).collect();
        let steps = sent
            .chunks(cut)
            .map(|cut| Step::Bytes(bytes::Bytes::copy_from_slice(cut)));
        let feed = Feed::new(steps.chain([Step::End]));
        let report = relay.run(&feed, &taps).await;
        assert_eq!(report.bytes_in, sent.len() as u64);
        taps[0].assert_got(&all());
        taps[1].assert_got(&from(2));
        taps[2].assert_got(&from(5));
        taps[3].assert_got(&all());
        taps[4].assert_got(&all());
    }
}

#[tokio::test]
async fn the_head_is_served_before_the_plan_has_come() {
    let relay = Relay::new();
    let taps = [Tap::open(), Tap::open()];
    let feed = Feed::new([Step::Bytes(head().into())]);
    let answer = async {
        for tap in &taps {
            tap.has(head().len() as u64).await;
        }
        feed.push(Step::Bytes(plan(&[(0, 3)]).into()));
        feed.push(Step::Bytes([chunks(0, &LENS), trailer()].concat().into()));
        feed.push(Step::End);
    };
    tokio::join!(answer, relay.run(&feed, &taps));
    taps[0].assert_got(&from(3));
    taps[1].assert_got(&all());
}

#[tokio::test(start_paused = true)]
async fn a_recipient_that_skips_from_within_the_head_or_the_spool_gets_the_same() {
    let mut relay = Relay::new();
    relay.config.window = 64 * KIB;
    let taps = [Tap::open(), Tap::with(20, 3), Tap::shut()];
    let rest = [plan(&[(1, 3), (2, 1)]), chunks(0, &LENS), trailer()].concat();
    let wake = async {
        taps[0].ended().await;
        taps[1].allow(u64::MAX / 2);
        taps[2].allow(u64::MAX / 2);
    };
    // In pieces, so that the plan comes while some of the head is still to be written.
    let head_pieces = head();
    let head_pieces = head_pieces.chunks(50);
    let head_pieces = head_pieces.map(|cut| Step::Bytes(bytes::Bytes::copy_from_slice(cut)));
    let feed = Feed::new(head_pieces.chain([Step::Bytes(rest.into()), Step::End]));
    let (report, ()) = tokio::join!(relay.run(&feed, &taps), wake);
    assert!(report.bytes_spooled > 0);
    taps[0].assert_got(&all());
    taps[1].assert_got(&from(3));
    taps[2].assert_got(&from(1));
}

#[tokio::test]
async fn who_needs_nothing_is_let_go_at_once_and_the_sender_when_nobody_does() {
    let relay = Relay::new();
    let taps = [Tap::open(), Tap::shut(), Tap::open()];
    let feed = Feed::new([Step::Bytes(head().into())]);
    let go_on = async {
        taps[0].has(head().len() as u64).await;
        let nothing = plan(&[(0, PlanEntry::NOTHING), (1, PlanEntry::NOTHING)]);
        feed.push(Step::Bytes(nothing.into()));
        taps[0].ended().await;
        taps[1].ended().await;
        feed.push(Step::Bytes([chunks(0, &LENS), trailer()].concat().into()));
        feed.push(Step::End);
    };
    let (report, ()) = tokio::join!(relay.run(&feed, &taps), go_on);
    for (slot, tap) in taps.iter().enumerate().take(2) {
        assert_eq!(tap.end(), Some(Err(Code::NotNeeded)));
        assert_eq!(report.of(slot).outcome, Outcome::Failed(Code::NotNeeded));
    }
    taps[2].assert_got(&all());

    let nothing = [head(), plan(&[(0, PlanEntry::NOTHING)])].concat();
    let feed = Feed::new([Step::Bytes(nothing.into())]);
    let report = relay.run_to(&feed, [pipes::never_opens()]).await;
    assert_eq!(report.end, Err(Code::NotNeeded));
    assert_eq!(feed.stopped(), Some(Code::NotNeeded));
}

#[tokio::test]
async fn a_stream_that_does_not_start_as_a_file_is_a_broken_protocol_for_everyone() {
    for start in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        chunks(0, &[10]),
        head()[..50].to_vec(),
        [head(), vec![0xee; 8]].concat(),
        Vec::new(),
    ] {
        let relay = Relay::new();
        let taps = [Tap::open(), Tap::shut()];
        let steps = [Step::Bytes(start.into()), Step::End];
        let feed = Feed::new(steps.into_iter().filter(|step| match step {
            Step::Bytes(bytes) => !bytes.is_empty(),
            _ => true,
        }));
        let report = relay.run(&feed, &taps).await;
        assert_eq!(report.end, Err(Code::Protocol));
        assert_eq!(feed.stopped(), Some(Code::Protocol));
        for (slot, tap) in taps.iter().enumerate() {
            assert_eq!(report.of(slot).outcome, Outcome::Failed(Code::Protocol));
            // Whose stream was not open yet gets none.
            assert!(matches!(tap.end(), None | Some(Err(Code::Protocol))));
        }
    }
}

#[tokio::test]
async fn garbage_later_on_harms_only_those_for_whom_it_is_read() {
    let relay = Relay::new();
    let taps = [Tap::open(), Tap::open()];
    let sent = [head(), plan(&[(0, 1)]), chunks(0, &LENS), vec![0xee; 50]].concat();
    relay.run(&Feed::whole(&sent), &taps).await;
    assert_eq!(taps[0].end(), Some(Err(Code::Protocol)));
    taps[1].assert_got(&[head(), chunks(0, &LENS), vec![0xee; 50]].concat());
}
