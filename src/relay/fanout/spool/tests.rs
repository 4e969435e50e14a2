use super::*;

use crate::relay::Budget;

fn spool(quota: u64) -> (Spool, Budget) {
    let budget = Budget::new(0, quota);
    (Spool::new(std::env::temp_dir(), &budget.share()), budget)
}

fn pieces(from: u64, lens: &[usize]) -> Vec<Bytes> {
    let mut at = from;
    let mut piece = |len: &usize| {
        let bytes = (at..at + *len as u64).map(|i| (i % 251) as u8).collect();
        at += *len as u64;
        bytes
    };
    lens.iter().map(&mut piece).collect()
}

#[test]
fn what_was_written_reads_back_from_any_position() {
    let (mut spool, _) = spool(u64::MAX);
    let lens = [1, 7, 70_000, 3, 200_000, 64 * 1024];
    let end = 1_000 + lens.iter().sum::<usize>() as u64;
    let write = spool.write(1_000, pieces(1_000, &lens)).unwrap();
    spool.commit(write.run_here().unwrap());
    let write = spool.write(end, pieces(end, &[500])).unwrap();
    spool.commit(write.run_here().unwrap());
    assert_eq!((spool.segments.len(), spool.end()), (1, end + 500));

    assert!(spool.read(999).is_none() && spool.read(end + 500).is_none());
    for position in [1_000, 1_001, 1_008, 71_000, end - 1, end] {
        let read = spool.read(position).unwrap();
        let len = read.available();
        assert_eq!(
            read.run_here(len).unwrap(),
            pieces(position, &[len]).concat(),
            "from {position}"
        );
    }
}

#[test]
fn the_quota_counts_what_is_on_disk_and_not_what_was() {
    let (mut spool, budget) = spool(1_000);
    let refused = spool.write(0, pieces(0, &[1_001]));
    assert_eq!(refused.unwrap_err(), NoRoom::Quota);
    let write = spool.write(0, pieces(0, &[600])).unwrap();
    spool.commit(write.run_here().unwrap());
    assert!(spool.write(600, pieces(600, &[401])).is_err());
    spool.forget(599);
    assert_eq!(budget.spool_in_use(), 600);
    spool.forget(600);
    assert_eq!((budget.spool_in_use(), spool.end()), (0, 0));
}

#[test]
fn a_segment_that_is_forgotten_during_a_write_leaves_the_written_bytes_readable() {
    let (mut spool, budget) = spool(1_000);
    let write = spool.write(0, pieces(0, &[100])).unwrap();
    spool.commit(write.run_here().unwrap());
    let write = spool.write(100, pieces(100, &[100])).unwrap();
    spool.forget(100);
    spool.commit(write.run_here().unwrap());
    let bytes = spool.read(150).unwrap().run_here(50).unwrap();
    assert_eq!(bytes, pieces(150, &[50]).concat());
    assert_eq!(budget.spool_in_use(), 100);
}

#[test]
fn a_spool_without_a_directory_fails_and_returns_its_quota() {
    let budget = Budget::new(0, 100);
    let spool = Spool::new("/nowhere/at/all".into(), &budget.share());
    let write = spool.write(0, pieces(0, &[100])).unwrap();
    assert!(write.run_here().is_err());
    assert_eq!(budget.spool_in_use(), 0);
}

#[test]
fn open_files_are_counted_and_given_back() {
    let budget = Budget::with_descriptors(0, u64::MAX, 1);
    let new = || Spool::new(std::env::temp_dir(), &budget.share());
    let (mut first, second) = (new(), new());
    let write = first.write(0, pieces(0, &[100])).unwrap();
    first.commit(write.run_here().unwrap());
    let write = first.write(100, pieces(100, &[100])).unwrap();
    first.commit(write.run_here().unwrap());
    let refused = second.write(0, pieces(0, &[100]));
    assert_eq!(refused.unwrap_err(), NoRoom::Descriptors);
    first.forget(200);
    assert!(second.write(0, pieces(0, &[100])).is_ok());
}

#[test]
fn the_largest_file_of_whoever_holds_most_gives_room_first() {
    let budget = Budget::new(0, 1_000);
    let (greedy, modest) = (budget.share(), budget.share());
    let fill = |share: &Share, len: usize| {
        let mut spool = Spool::new(std::env::temp_dir(), share);
        let write = spool.write(0, pieces(0, &[len])).unwrap();
        spool.commit(write.run_here().unwrap());
        spool
    };
    let (one, two) = (fill(&greedy, 300), fill(&greedy, 310));
    let other = fill(&modest, 350);
    assert!(matches!(other.shed_heaviest(), Heaviest::Other));
    let shed = |spool: &Spool| {
        let file = spool.file();
        futures_util::FutureExt::now_or_never(async move { file.shed().await }).is_some()
    };
    assert!(shed(&two) && !shed(&one) && !shed(&other));
    assert!(matches!(two.shed_heaviest(), Heaviest::Asker));
}
