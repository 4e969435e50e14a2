//! Which columns of a table are shown, and how wide.

/// A column that is shown, or the mark for those that are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// The column with this index, in so many columns of the terminal.
    Column { index: usize, width: usize },
    /// One or more columns are left out here.
    Gap,
}

/// The width that a column would take, and whether it may be cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) width: usize,
    /// A number that is cut is another number.
    pub(super) is_number: bool,
}

/// Fits columns into `width`: the widest texts are cut first, then columns are left out from the
/// middle. `more` is the number of columns that cannot be shown in any case, at the end.
pub(super) fn fit_columns(wishes: &[Wish], more: u64, width: usize) -> Vec<Slot> {
    let needs: Vec<usize> = wishes.iter().map(Wish::least).collect();
    let gap_width = 1 + GAP;
    // As many as fit at their narrowest, from both sides by turns.
    let total: usize = needs.iter().map(|it| it + GAP).sum();
    let (mut left, mut right) = (wishes.len(), 0);
    if more > 0 || total > width + GAP {
        let mut used = gap_width;
        (left, right) = (0, 0);
        loop {
            let from_right = more == 0 && right < left;
            let index = if from_right {
                wishes.len() - 1 - right
            } else {
                left
            };
            if left + right == wishes.len() || used + needs[index] + GAP > width + GAP {
                break;
            }
            used += needs[index] + GAP;
            *(if from_right { &mut right } else { &mut left }) += 1;
        }
        // Something of a table can always be seen.
        left = left.max(1).min(wishes.len());
    }
    let has_gap = more > 0 || left + right < wishes.len();
    let shown: Vec<usize> = (0..left)
        .chain(wishes.len() - right..wishes.len())
        .collect();
    let gaps = GAP * (shown.len() + usize::from(has_gap)).saturating_sub(1) + usize::from(has_gap);
    let room = width.saturating_sub(gaps);
    let cap = widest_cap(wishes, &shown, room);
    let mut slots: Vec<Slot> = shown
        .iter()
        .map(|&index| Slot::Column {
            index,
            width: wishes[index].under(cap).min(room.max(1)),
        })
        .collect();
    if has_gap {
        slots.insert(left, Slot::Gap);
    }
    slots
}

impl Wish {
    /// The narrowest that the column can still be read in.
    fn least(&self) -> usize {
        self.under(LEAST)
    }

    fn under(&self, cap: usize) -> usize {
        let cap = if self.is_number {
            cap.max(LEAST_NUMBER)
        } else {
            cap
        };
        self.width.min(cap).max(1)
    }
}

/// The largest width that texts may have for the columns to fit in `room`.
fn widest_cap(wishes: &[Wish], shown: &[usize], room: usize) -> usize {
    let fits = |cap| shown.iter().map(|&i| wishes[i].under(cap)).sum::<usize>() <= room;
    let (mut low, mut high) = (LEAST, room.max(LEAST));
    while low < high {
        let middle = (low + high).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// Spaces between columns.
pub(super) const GAP: usize = 2;

/// Texts are cut to this width before columns are left out.
const LEAST: usize = 8;

/// Numbers up to this width are never cut.
const LEAST_NUMBER: usize = 24;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(width: usize) -> Wish {
        Wish {
            width,
            is_number: false,
        }
    }

    fn taken(slots: &[Slot]) -> usize {
        let widths = slots.iter().map(|slot| match slot {
            Slot::Column { width, .. } => *width,
            Slot::Gap => 1,
        });
        widths.sum::<usize>() + GAP * slots.len().saturating_sub(1)
    }

    fn column(index: usize, width: usize) -> Slot {
        Slot::Column { index, width }
    }

    #[test]
    fn what_fits_is_left_alone() {
        let slots = fit_columns(&[text(5), text(10)], 0, 17);
        assert_eq!(slots, [column(0, 5), column(1, 10)]);
    }

    #[test]
    fn the_widest_texts_give_way_first() {
        let slots = fit_columns(&[text(5), text(100), text(60)], 0, 49);
        assert_eq!(slots, [column(0, 5), column(1, 20), column(2, 20)]);
    }

    #[test]
    fn numbers_are_not_cut_where_texts_can_be() {
        let number = Wish {
            width: 15,
            is_number: true,
        };
        let slots = fit_columns(&[text(30), number], 0, 30);
        assert_eq!(slots, [column(0, 13), column(1, 15)]);
    }

    #[test]
    fn columns_are_left_out_from_the_middle() {
        let slots = fit_columns(&[text(8); 20], 0, 40);
        assert_eq!(slots[2], Slot::Gap);
        assert!(matches!(slots[0], Slot::Column { index: 0, .. }));
        assert!(matches!(slots[3], Slot::Column { index: 19, .. }));
    }

    proptest! {
        #[test]
        fn the_columns_always_fit(
            widths in prop::collection::vec((0usize..200, any::<bool>()), 1..60),
            more in 0u64..2,
            width in 20usize..300,
        ) {
            let wishes: Vec<Wish> = widths
                .into_iter()
                .map(|(width, is_number)| Wish { width, is_number })
                .collect();
            let slots = fit_columns(&wishes, more, width);
            prop_assert!(taken(&slots) <= width, "{:?} in {}", slots, width);
            let any = slots.iter().any(|slot| matches!(slot, Slot::Column { .. }));
            prop_assert!(any);
        }
    }
}
