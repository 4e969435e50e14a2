//! An outline of JSON on the screen, in as many lines as there may be.

use super::{
    NAME_CHARS,
    outline::{Member, Members, Value},
    scan::{Bracket, Flaw, Piece, Scanner},
    string,
};
use crate::{
    ShowError,
    format::{counted, grouped},
    screen::{Role, Screen},
};

/// Prints an outline.
pub(super) struct Printer<'a, 'b> {
    screen: &'a mut Screen<'b>,
    most_chars: usize,
    plan: Plan,
}

/// How much of each container is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    /// Items of an array.
    items: usize,
    /// Members of an object.
    members: usize,
    /// Levels of nesting.
    levels: usize,
}

impl<'a, 'b> Printer<'a, 'b> {
    /// Prints the values of a file in about `max_lines` lines, of each string or number at most
    /// `most_chars` characters.
    pub(super) fn print(
        screen: &'a mut Screen<'b>,
        values: &Members<'_>,
        most_chars: usize,
        max_lines: usize,
    ) -> Result<(), ShowError> {
        let plan = Plan::for_lines(values, max_lines);
        let mut printer = Self {
            screen,
            most_chars,
            plan,
        };
        printer.members(None, values, 0)
    }

    /// The members of a container, or the values of the file, each on lines of its own.
    fn members(
        &mut self,
        bracket: Option<Bracket>,
        members: &Members<'_>,
        level: usize,
    ) -> Result<(), ShowError> {
        let (head, tail) = self.plan.split(bracket, members);
        let left_out = members.len - (head.len() + tail.len()) as u64;
        let ends_with_head = left_out == 0 && !members.cut && tail.is_empty();
        for (i, member) in head.iter().enumerate() {
            let is_last = ends_with_head && i + 1 == head.len();
            self.member(member, level, bracket.is_some() && !is_last)?;
        }
        let noun = format!("more {}", noun(bracket));
        let note = match (left_out, members.cut) {
            (0, false) => None,
            // What is said below the values says so.
            (0, true) if bracket.is_none() => None,
            (0, true) => Some("the rest was not read".to_owned()),
            (_, false) => Some(counted(left_out, &noun)),
            (_, true) => Some(format!("at least {}", counted(left_out, &noun))),
        };
        if let Some(note) = note {
            self.screen.text(Role::Plain, &indent(level))?;
            self.screen.line(Role::Note, &format!("… {note} …"))?;
        }
        for (i, member) in tail.iter().enumerate() {
            self.member(member, level, bracket.is_some() && i + 1 < tail.len())?;
        }
        Ok(())
    }

    fn member(&mut self, member: &Member<'_>, level: usize, comma: bool) -> Result<(), ShowError> {
        self.screen.text(Role::Plain, &indent(level))?;
        if let Some(name) = &member.name {
            self.screen.text(Role::Name, &quoted(name, NAME_CHARS))?;
            self.screen.text(Role::Plain, ": ")?;
        }
        self.value(&member.value, level)?;
        self.screen.line(Role::Plain, if comma { "," } else { "" })
    }

    fn value(&mut self, value: &Value<'_>, level: usize) -> Result<(), ShowError> {
        let (bracket, members) = match value {
            Value::String(text) => {
                let text = quoted(text, self.most_chars);
                return self.screen.text(Role::Text, &text);
            }
            Value::Number(digits) => {
                let digits = string::shown(digits, self.most_chars);
                return self.screen.text(Role::Number, &digits);
            }
            Value::Literal(word) => return self.screen.text(Role::Literal, word),
            Value::Container(bracket, members) => (*bracket, members),
        };
        let (open, close) = bracket.marks();
        if self.plan.opens(members, level) {
            self.screen.line(Role::Plain, open)?;
            self.members(Some(bracket), members, level + 1)?;
            self.screen.text(Role::Plain, &indent(level))?;
            return self.screen.text(Role::Plain, close);
        }
        self.screen.text(Role::Plain, open)?;
        if !members.is_empty() {
            let at_least = if members.cut { "at least " } else { "" };
            let mut note = format!("{at_least}{}", counted(members.len, noun(Some(bracket))));
            if members.levels > 1 {
                note += &format!(", {} levels", grouped(members.levels));
            }
            self.screen.text(Role::Note, &format!("… {note} …"))?;
        }
        self.screen.text(Role::Plain, close)
    }
}

impl Plan {
    /// The plan that shows most within `max_lines`, or the smallest.
    fn for_lines(values: &Members<'_>, max_lines: usize) -> Self {
        // One container that is too long takes two lines for its marks, and one for the gap.
        let whole = [max_lines, max_lines.saturating_sub(3).max(2)].map(|it| (it, it));
        let plan = |(items, members), levels| Self {
            items,
            members,
            levels,
        };
        let (smallest, larger) = SIZES.split_last().expect("there are sizes");
        let larger = whole.iter().chain(larger);
        let larger = larger.map(|it| plan(*it, MOST_LEVELS));
        let shallower = (2..=MOST_LEVELS).rev().map(|it| plan(*smallest, it));
        let mut plans = larger.chain(shallower);
        plans
            .find(|it| it.lines(None, values, 0, max_lines) <= max_lines)
            .unwrap_or(plan(*smallest, 1))
    }

    /// Whether a container on this level is shown with what is in it.
    fn opens(&self, members: &Members<'_>, level: usize) -> bool {
        let is_sealed = members.kept.is_empty() && members.len > 0;
        level < self.levels && !members.is_empty() && !is_sealed
    }

    /// The members that are shown, from the beginning and from the end.
    fn split<'m, 't>(
        &self,
        bracket: Option<Bracket>,
        members: &'m Members<'t>,
    ) -> (&'m [Member<'t>], &'m [Member<'t>]) {
        let most = match bracket {
            Some(Bracket::Object) => self.members,
            _ => self.items,
        };
        let kept = &members.kept[..];
        if members.len <= most as u64 && members.len == kept.len() as u64 {
            return (kept, &[]);
        }
        // What was read last of a container that was not read to its end is not its end.
        let last = if members.cut { 0 } else { most / 2 };
        let first = (most - last).min(kept.len());
        (
            &kept[..first],
            &kept[kept.len() - last.min(kept.len() - first)..],
        )
    }

    /// How many lines a container's members take; counting ends beyond `max`.
    fn lines(
        &self,
        bracket: Option<Bracket>,
        members: &Members<'_>,
        level: usize,
        max: usize,
    ) -> usize {
        let (head, tail) = self.split(bracket, members);
        let mut lines = usize::from(members.cut || members.len > (head.len() + tail.len()) as u64);
        for member in head.iter().chain(tail) {
            lines += match &member.value {
                Value::Container(bracket, inner) if self.opens(inner, level) => {
                    2 + self.lines(Some(*bracket), inner, level + 1, max.saturating_sub(lines))
                }
                _ => 1,
            };
            if lines > max {
                break;
            }
        }
        lines
    }
}

/// Prints all that a scanner finds, each value on a line of its own.
pub(super) fn print_all(
    screen: &mut Screen<'_>,
    scanner: &mut Scanner<'_>,
) -> Result<Option<Flaw>, ShowError> {
    let mut open = Vec::new();
    // What is before the next piece: a line that has just begun, or one that has a value on it.
    let (mut is_first, mut has_name) = (true, false);
    loop {
        let piece = match scanner.next() {
            Ok(piece) => piece,
            Err(flaw) => {
                screen.end_line()?;
                return Ok(Some(flaw));
            }
        };
        let is_close = piece == Piece::Close;
        if is_close {
            let bracket: Bracket = open.pop().expect("the scanner closes what it has opened");
            if !is_first {
                screen.line(Role::Plain, "")?;
                screen.text(Role::Plain, &indent(open.len()))?;
            }
            screen.text(Role::Plain, bracket.marks().1)?;
        } else if !has_name && piece != Piece::End {
            if !is_first {
                screen.line(Role::Plain, if open.is_empty() { "" } else { "," })?;
            } else if !open.is_empty() {
                screen.end_line()?;
            }
            screen.text(Role::Plain, &indent(open.len()))?;
        }
        has_name = matches!(piece, Piece::Key(_));
        is_first = matches!(piece, Piece::Open(_));
        match piece {
            Piece::Close => {}
            Piece::Open(bracket) => {
                screen.text(Role::Plain, bracket.marks().0)?;
                open.push(bracket);
            }
            Piece::Key(name) => {
                screen.text(Role::Name, &quoted(name, usize::MAX))?;
                screen.text(Role::Plain, ": ")?;
            }
            Piece::String(text) => screen.text(Role::Text, &quoted(text, usize::MAX))?,
            Piece::Number(digits) => screen.text(Role::Number, digits)?,
            Piece::Literal(word) => screen.text(Role::Literal, word)?,
            Piece::End => {
                screen.end_line()?;
                return Ok(None);
            }
        }
    }
}

fn quoted(text: &str, most_chars: usize) -> String {
    format!("\"{}\"", string::shown(text, most_chars))
}

/// The indent of a level, up to a depth beyond which it would be most of the output.
fn indent(level: usize) -> String {
    "  ".repeat(level.min(MOST_LEVELS))
}

fn noun(bracket: Option<Bracket>) -> &'static str {
    match bracket {
        Some(Bracket::Array) => "item",
        Some(Bracket::Object) => "member",
        None => "value",
    }
}

/// How many items of an array and members of an object are shown, from most to least: long
/// arrays give way first, since their items are alike, while the members of an object are not.
const SIZES: [(usize, usize); 14] = [
    (100, 200),
    (50, 200),
    (30, 100),
    (20, 100),
    (10, 100),
    (6, 100),
    (6, 60),
    (4, 60),
    (4, 40),
    (2, 40),
    (2, 20),
    (2, 10),
    (2, 4),
    (2, 2),
];

/// More than are kept.
const MOST_LEVELS: usize = 64;
