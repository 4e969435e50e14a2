//! What is kept of a JSON text of any size: the beginning and end of every container, and counts.

use std::collections::{HashSet, VecDeque};

use super::{
    NAME_CHARS,
    scan::{Bracket, Flaw, Piece, Problem, Scanner},
    string,
};

/// A JSON text with the middle of everything long left out.
#[derive(Default)]
pub(super) struct Outline<'t> {
    /// The values of the file: one, or several on lines of their own.
    pub(super) values: Members<'t>,
    /// How many values there are, on all levels.
    pub(super) total: u64,
    /// How deep the deepest is nested; 1 for a lone number.
    pub(super) levels: u64,
    /// The first few names that came again in one object, as they are shown.
    pub(super) repeated: Vec<String>,
    /// How often a name came again.
    pub(super) repetitions: u64,
    /// Members that are kept of each container, from its beginning and from its end.
    most: usize,
    /// Members that are kept now.
    kept: usize,
    /// Names of open objects that are remembered now.
    names: usize,
}

/// The members of a container: the first, the last, and how many there are.
#[derive(Default)]
pub(super) struct Members<'t> {
    /// All members, or as many of the first and of the last as are kept of each; none of a container that lies too deep, or if enough has been kept already.
    pub(super) kept: Vec<Member<'t>>,
    pub(super) len: u64,
    /// How many levels of nesting there are, this one included.
    pub(super) levels: u64,
    /// Whether the limit was reached before the end: there may be more.
    pub(super) cut: bool,
}

pub(super) struct Member<'t> {
    /// In an object.
    pub(super) name: Option<&'t str>,
    pub(super) value: Value<'t>,
    /// How many members are kept in this one, itself included.
    nodes: usize,
}

pub(super) enum Value<'t> {
    String(&'t str),
    Number(&'t str),
    Literal(&'static str),
    Container(Bracket, Members<'t>),
}

impl<'t> Outline<'t> {
    /// Reads a JSON text up to its end or to where the scanner's part of it ends; of each
    /// container the first and the last `most` members are kept.
    pub(super) fn read(scanner: &mut Scanner<'t>, most: usize) -> Result<Self, Flaw> {
        let mut outline = Self {
            most,
            ..Self::default()
        };
        outline.values = outline.members(scanner, 1)?;
        Ok(outline)
    }

    /// Reads to the end of the container that is open; its members are on level `level`, which
    /// bounds how far this recurses.
    fn members(&mut self, scanner: &mut Scanner<'t>, level: u64) -> Result<Members<'t>, Flaw> {
        let mut members = Members::default();
        let mut tail = VecDeque::new();
        let mut names = HashSet::new();
        let mut name = None;
        while let Some(piece) = members.next(scanner)? {
            let value = match piece {
                Piece::End | Piece::Close => break,
                Piece::Key(key) => {
                    self.remember(&mut names, key);
                    name = Some(key);
                    continue;
                }
                Piece::String(text) => Value::String(text),
                Piece::Number(digits) => Value::Number(digits),
                Piece::Literal(word) => Value::Literal(word),
                Piece::Open(bracket) if level > MAX_LEVELS || self.kept > MAX_KEPT => {
                    Value::Container(bracket, self.sealed(scanner, level)?)
                }
                Piece::Open(bracket) => {
                    Value::Container(bracket, self.members(scanner, level + 1)?)
                }
            };
            self.count(level);
            let member = Member::new(name.take(), value);
            members.len += 1;
            members.levels = members.levels.max(member.value.levels());
            self.kept += 1;
            if members.kept.len() < self.most {
                members.kept.push(member);
                continue;
            }
            if tail.len() == self.most {
                let dropped: Member<'_> = tail.pop_front().expect("the tail is full");
                self.kept -= dropped.nodes;
            }
            tail.push_back(member);
        }
        members.kept.extend(tail);
        members.levels += 1;
        self.names -= names.len();
        Ok(members)
    }

    /// Passes over the container that was just opened, without recursion.
    fn sealed(&mut self, scanner: &mut Scanner<'t>, level: u64) -> Result<Members<'t>, Flaw> {
        let mut members = Members {
            levels: 1,
            ..Members::default()
        };
        let mut open = 1;
        while open > 0
            && let Some(piece) = members.next(scanner)?
        {
            match piece {
                Piece::Key(_) => continue,
                Piece::Close | Piece::End => open -= 1,
                _ => {
                    self.count(level + open);
                    members.len += u64::from(open == 1);
                    open += u64::from(matches!(piece, Piece::Open(_)));
                }
            }
            members.levels = members.levels.max(open);
        }
        Ok(members)
    }

    fn count(&mut self, level: u64) {
        self.total += 1;
        self.levels = self.levels.max(level);
    }

    fn remember(&mut self, names: &mut HashSet<u64>, name: &str) {
        let hash = string::hash(name);
        if names.contains(&hash) {
            self.repetitions += 1;
            if self.repeated.len() < MAX_REPEATED {
                let shown = format!("\"{}\"", string::shown(name, NAME_CHARS));
                if !self.repeated.contains(&shown) {
                    self.repeated.push(shown);
                }
            }
        } else if self.names < MAX_NAMES {
            names.insert(hash);
            self.names += 1;
        }
    }
}

impl<'t> Members<'t> {
    /// The next piece; none at the limit, which every container that is open then notes.
    fn next(&mut self, scanner: &mut Scanner<'t>) -> Result<Option<Piece<'t>>, Flaw> {
        match scanner.next() {
            Err(flaw) if matches!(flaw.problem, Problem::Limit) => {
                self.cut = true;
                Ok(None)
            }
            piece => piece.map(Some),
        }
    }

    /// Whether there is nothing in the container.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0 && !self.cut
    }
}

impl Value<'_> {
    /// How many levels of nesting there are in it.
    fn levels(&self) -> u64 {
        match self {
            Self::Container(_, members) => members.levels,
            _ => 0,
        }
    }
}

impl<'t> Member<'t> {
    fn new(name: Option<&'t str>, value: Value<'t>) -> Self {
        let inside: usize = match &value {
            Value::Container(_, members) => members.kept.iter().map(|it| it.nodes).sum(),
            _ => 0,
        };
        Self {
            name,
            value,
            nodes: 1 + inside,
        }
    }
}

/// Levels of nesting that are shown: with an indent of two columns, still half on the screen.
const MAX_LEVELS: u64 = 32;

/// Members that are kept at once; beyond, containers are only counted. Bounds memory to some
/// 10 MB, which only a file made for it comes near.
const MAX_KEPT: usize = 100_000;

/// Names that are compared to find those that come again; bounds memory to some 20 MB.
const MAX_NAMES: usize = 1_000_000;

/// Repeated names that are shown.
const MAX_REPEATED: usize = 5;
