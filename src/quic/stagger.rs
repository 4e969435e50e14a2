//! Several ways to the same place: tried one after the other without waiting for each to fail
//! (Happy Eyeballs, RFC 8305).

use std::{net::SocketAddr, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

/// From one address to the next (RFC 8305, section 5: the recommended Connection Attempt Delay).
pub(super) const BETWEEN_ADDRESSES: Duration = Duration::from_millis(250);

/// The first success of several attempts, each begun `pause` after the one before, or as soon as all
/// before it have failed. The others are dropped.
///
/// # Errors
/// All failures, in the order in which they came; at once after one that `is_final` says no other
/// attempt can mend, which is then the last.
pub(crate) async fn first<A, T, E, F>(
    ways: impl IntoIterator<Item = A>,
    pause: Duration,
    attempt: impl Fn(A) -> F,
    is_final: impl Fn(&E) -> bool,
) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut ways = ways.into_iter().peekable();
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    let mut next = Instant::now();
    loop {
        if running.is_empty() || Instant::now() >= next {
            match ways.next() {
                Some(way) => running.push(attempt(way)),
                None if running.is_empty() => return Err(failures),
                None => {}
            }
            next = Instant::now() + pause;
        }
        let outcome = tokio::select! {
            outcome = running.next() => outcome,
            () = sleep_until(next), if ways.peek().is_some() => continue,
        };
        match outcome {
            Some(Ok(success)) => return Ok(success),
            Some(Err(error)) => {
                let over = is_final(&error);
                failures.push(error);
                if over {
                    return Err(failures);
                }
            }
            None => {}
        }
    }
}

/// Sorts addresses so that neither family waits for all of the other's (RFC 8305, section 4). The
/// resolver's order holds within each (RFC 6724), and its first address stays first.
pub(super) fn interleave(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut seen: Vec<SocketAddr> = Vec::new();
    for address in addresses.into_iter().map(canonical) {
        if !seen.contains(&address) {
            seen.push(address);
        }
    }
    let Some(leading) = seen.first().map(SocketAddr::is_ipv6) else {
        return seen;
    };
    let (mut ours, mut others): (Vec<_>, Vec<_>) =
        seen.into_iter().partition(|a| a.is_ipv6() == leading);
    let mut sorted = Vec::with_capacity(ours.len() + others.len());
    let (mut ours, mut others) = (ours.drain(..), others.drain(..));
    loop {
        let pair = (ours.next(), others.next());
        if pair == (None, None) {
            return sorted;
        }
        sorted.extend(pair.0);
        sorted.extend(pair.1);
    }
}

/// An IPv4 address that a dual-stack socket reports as IPv6 (RFC 4291, section 2.5.5.2), as itself.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip.is_ipv4() => SocketAddr::new(ip, address.port()),
        // Kept as it is: a link-local address is nothing without its scope.
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_the_resolvers_first_stays_first() {
        let sorted = interleave(addresses(&[
            "[2001:db8::1]:1",
            "[2001:db8::2]:1",
            "[2001:db8::2]:1",
            "192.0.2.1:1",
            "[::ffff:192.0.2.1]:1",
            "192.0.2.2:1",
            "192.0.2.3:1",
        ]));
        assert_eq!(
            sorted,
            addresses(&[
                "[2001:db8::1]:1",
                "192.0.2.1:1",
                "[2001:db8::2]:1",
                "192.0.2.2:1",
                "192.0.2.3:1",
            ])
        );
    }

    #[test]
    fn a_mapped_address_is_ipv4_and_a_scope_is_kept() {
        for (from, to) in [
            ("[::ffff:192.0.2.7]:5", "192.0.2.7:5"),
            ("[fe80::1%3]:5", "[fe80::1%3]:5"),
            ("192.0.2.7:5", "192.0.2.7:5"),
        ] {
            assert_eq!(canonical(from.parse().unwrap()).to_string(), to);
        }
    }

    /// Attempts that succeed or fail after so many milliseconds, or never end.
    async fn attempt((after, succeeds): (Option<u64>, bool)) -> Result<u64, u64> {
        match after {
            None => pending().await,
            Some(after) => {
                tokio::time::sleep(Duration::from_millis(after)).await;
                if succeeds { Ok(after) } else { Err(after) }
            }
        }
    }

    async fn race(ways: &[(Option<u64>, bool)]) -> (Result<u64, Vec<u64>>, u128) {
        let start = Instant::now();
        let pause = Duration::from_millis(250);
        let outcome = first(ways.iter().copied(), pause, attempt, |e| *e == 66).await;
        (outcome, start.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_delays_the_next_by_a_pause_and_no_more() {
        assert_eq!(race(&[(None, true), (Some(30), true)]).await, (Ok(30), 280));
        // The first is slower than the pause and still the quickest.
        assert_eq!(
            race(&[(Some(300), true), (Some(200), true)]).await,
            (Ok(300), 300)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_the_next_begins_at_once() {
        assert_eq!(
            race(&[(Some(10), false), (Some(5), true)]).await,
            (Ok(5), 15)
        );
        let all = [(Some(10), false), (Some(5), false)];
        assert_eq!(race(&all).await, (Err(vec![10, 5]), 15));
        assert_eq!(race(&[]).await, (Err(vec![]), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_failure_ends_all_attempts() {
        let all = [(None, true), (Some(66), false), (Some(400), true)];
        assert_eq!(race(&all).await, (Err(vec![66]), 316));
    }
}
