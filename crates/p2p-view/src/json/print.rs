//! An outline of JSON on the screen, in as many lines as there may be.

use super::{
    super::{
        ShowError,
        sanitise::{counted, grouped},
        screen::{Role, Screen},
    },
    NAME_CHARS,
    bracket::Bracket,
    clip::Clip,
    outline::{Member, Members, Value},
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
    /// Shows at most `most_chars` characters of a string or number.
    pub(super) fn new(screen: &'a mut Screen<'b>, most_chars: usize) -> Self {
        Self {
            screen,
            most_chars,
            plan: PLANS[0],
        }
    }

    /// Prints the values of a file in about `max_lines` lines.
    pub(super) fn print(mut self, values: &Members, max_lines: usize) -> Result<(), ShowError> {
        self.plan = Plan::for_lines(values, max_lines);
        let (head, tail) = self.plan.split(None, values);
        for member in head {
            self.value(&member.value, 0)?;
            self.screen.end_line()?;
        }
        self.left_out(None, values, head.len() + tail.len(), 0)?;
        for member in tail {
            self.value(&member.value, 0)?;
            self.screen.end_line()?;
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, level: usize) -> Result<(), ShowError> {
        match value {
            Value::String(text) => self.quoted(Role::Text, text, self.most_chars),
            Value::Number(digits) => {
                let digits = digits.shown(self.most_chars);
                self.screen.text(Role::Number, &digits)
            }
            Value::Literal(word) => self.screen.text(Role::Literal, word),
            Value::Container(bracket, members) if members.len == 0 && !members.cut => {
                let (open, close) = bracket.marks();
                self.screen.text(Role::Plain, &format!("{open}{close}"))
            }
            Value::Container(bracket, members) if level >= self.plan.levels => {
                self.sealed(*bracket, members.len, members.levels, members.cut)
            }
            Value::Container(bracket, members) => self.container(*bracket, members, level),
            Value::Sealed {
                bracket,
                len,
                levels,
                cut,
            } => self.sealed(*bracket, *len, *levels, *cut),
        }
    }

    fn container(
        &mut self,
        bracket: Bracket,
        members: &Members,
        level: usize,
    ) -> Result<(), ShowError> {
        let (open, close) = bracket.marks();
        self.screen.line(Role::Plain, open)?;
        let (head, tail) = self.plan.split(Some(bracket), members);
        let shown = head.len() + tail.len();
        for (i, member) in head.iter().enumerate() {
            let is_last = i + 1 == head.len() && shown as u64 == members.len && !members.cut;
            self.member(member, level + 1, is_last)?;
        }
        self.left_out(Some(bracket), members, shown, level + 1)?;
        for (i, member) in tail.iter().enumerate() {
            self.member(member, level + 1, i + 1 == tail.len())?;
        }
        self.indent(level)?;
        self.screen.text(Role::Plain, close)
    }

    fn member(&mut self, member: &Member, level: usize, is_last: bool) -> Result<(), ShowError> {
        self.indent(level)?;
        if let Some(name) = &member.name {
            self.quoted(Role::Name, name, NAME_CHARS)?;
            self.screen.text(Role::Plain, ": ")?;
        }
        self.value(&member.value, level)?;
        self.screen
            .line(Role::Plain, if is_last { "" } else { "," })
    }

    /// Says how many members are not shown, if any.
    fn left_out(
        &mut self,
        bracket: Option<Bracket>,
        members: &Members,
        shown: usize,
        level: usize,
    ) -> Result<(), ShowError> {
        let more = members.len - shown as u64;
        let noun = noun(bracket);
        let note = match (more, members.cut) {
            (0, false) => return Ok(()),
            // What is said below the values says so.
            (0, true) if bracket.is_none() => return Ok(()),
            (0, true) => "… the rest was not read …".to_owned(),
            (_, false) => format!("… {} …", counted(more, &format!("more {noun}"))),
            (_, true) => format!("… at least {} …", counted(more, &format!("more {noun}"))),
        };
        self.indent(level)?;
        self.screen.line(Role::Note, &note)
    }

    /// A container on one line, without what is in it.
    fn sealed(
        &mut self,
        bracket: Bracket,
        len: u64,
        levels: u64,
        cut: bool,
    ) -> Result<(), ShowError> {
        let (open, close) = bracket.marks();
        if len == 0 && !cut {
            return self.screen.text(Role::Plain, &format!("{open}{close}"));
        }
        let mut note = counted(len, noun(Some(bracket)));
        if cut {
            note.insert_str(0, "at least ");
        }
        if levels > 1 {
            note += &format!(", {} levels", grouped(levels));
        }
        self.screen.text(Role::Plain, open)?;
        self.screen.text(Role::Note, &format!("… {note} …"))?;
        self.screen.text(Role::Plain, close)
    }

    fn quoted(&mut self, role: Role, text: &Clip, most_chars: usize) -> Result<(), ShowError> {
        let quoted = format!("\"{}\"", text.shown(most_chars));
        self.screen.text(role, &quoted)
    }

    fn indent(&mut self, level: usize) -> Result<(), ShowError> {
        self.screen.text(Role::Plain, &"  ".repeat(level))
    }
}

impl Plan {
    /// The plan that shows most within `max_lines`, or the smallest.
    fn for_lines(values: &Members, max_lines: usize) -> Self {
        let smallest = PLANS[PLANS.len() - 1];
        let shallower = (2..smallest.levels)
            .rev()
            .map(|levels| Self { levels, ..smallest });
        let mut plans = PLANS.into_iter().chain(shallower);
        plans
            .find(|plan| plan.lines(None, values, 0, max_lines) <= max_lines)
            .unwrap_or(Self {
                levels: 1,
                ..smallest
            })
    }

    /// The members that are shown, from the beginning and from the end.
    fn split<'m>(
        &self,
        bracket: Option<Bracket>,
        members: &'m Members,
    ) -> (&'m [Member], &'m [Member]) {
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
        let first = (most - last).min(Members::HEAD).min(kept.len());
        (&kept[..first], &kept[kept.len() - last..])
    }

    /// How many lines a container's members take; counting ends beyond `max`.
    fn lines(
        &self,
        bracket: Option<Bracket>,
        members: &Members,
        level: usize,
        max: usize,
    ) -> usize {
        let (head, tail) = self.split(bracket, members);
        let mut lines = usize::from(members.cut || members.len > (head.len() + tail.len()) as u64);
        for member in head.iter().chain(tail) {
            lines += match &member.value {
                Value::Container(bracket, inner)
                    if level < self.levels && (inner.len > 0 || inner.cut) =>
                {
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

fn noun(bracket: Option<Bracket>) -> &'static str {
    match bracket {
        Some(Bracket::Array) => "item",
        Some(Bracket::Object) => "member",
        None => "value",
    }
}

/// From the most that is shown to the least: long arrays give way first, since their items are
/// alike, while the members of an object are not.
const PLANS: [Plan; 14] = {
    const fn plan(items: usize, members: usize) -> Plan {
        Plan {
            items,
            members,
            levels: 64,
        }
    }
    [
        plan(100, 200),
        plan(50, 200),
        plan(30, 100),
        plan(20, 100),
        plan(10, 100),
        plan(6, 100),
        plan(6, 60),
        plan(4, 60),
        plan(4, 40),
        plan(2, 40),
        plan(2, 20),
        plan(2, 10),
        plan(2, 4),
        plan(2, 2),
    ]
};
