//! Streams that are opened and reset in a loop.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    common::MIB,
    memory::{head, sender_and_sink},
    siege::Siege,
    wire::{file_header, transfer},
};

/// Each costs the relay a task, and a stream to the recipient, which takes none of them.
#[test]
fn streams_that_are_opened_and_reset_in_a_loop_delay_nobody() {
    let siege = Siege::new(&["--memory-limit", "32Mi"]);
    let seen = siege.during(|invite| async move {
        let churning = (0..8).map(async |number| {
            let (sender, _control, _sink, _sink_control) = sender_and_sink(&invite, number).await;
            let until = Instant::now() + Duration::from_secs(2);
            let mut streams = 0_u64;
            while Instant::now() < until {
                let mut begun = Vec::new();
                for _ in 0..16 {
                    let opening = timeout(Duration::from_millis(100), sender.connection.open_uni());
                    let Ok(Ok(mut stream)) = opening.await else {
                        break;
                    };
                    let header = file_header(transfer(number), streams);
                    let start = [&header[..], &head()].concat();
                    let _ = timeout(Duration::from_millis(100), stream.write_all(&start)).await;
                    begun.push(stream);
                    streams += 1;
                }
                // So that the relay gets them before it gets their ends.
                tokio::time::sleep(Duration::from_millis(2)).await;
                for stream in &mut begun {
                    let _ = stream.reset(6_u32.into());
                }
            }
            streams
        });
        let streams: u64 = join_all(churning).await.into_iter().sum();
        println!("{streams} streams were opened and reset");
        assert!(streams > 100, "{streams}");
    });
    seen.harmless(32 * MIB);
}
