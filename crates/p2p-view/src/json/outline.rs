//! What is kept of a JSON text of any size: the beginning and end of every container, and counts.

use std::{
    collections::{HashSet, VecDeque},
    io::BufRead,
};

use super::{
    bracket::Bracket,
    clip::Clip,
    flaw::{Flaw, Problem},
    scan::{Piece, Scanner},
};

/// A JSON text with the middle of everything long left out.
pub(super) struct Outline {
    /// The values of the file: one, or several on lines of their own.
    pub(super) values: Members,
    /// How many values there are, on all levels.
    pub(super) total: u64,
    /// How deep the deepest is nested; 1 for a lone number.
    pub(super) levels: u64,
    /// The first few names that came again in one object, and how often any did.
    pub(super) repeated: (Vec<Clip>, u64),
}

/// The members of a container: the first, the last, and how many there are.
#[derive(Default)]
pub(super) struct Members {
    /// All members, or the first [`Members::HEAD`] and the last [`Members::TAIL`] of them.
    pub(super) kept: Vec<Member>,
    pub(super) len: u64,
    /// How many levels of nesting there are, this one included.
    pub(super) levels: u64,
    /// Whether the limit was reached before the end: there may be more.
    pub(super) cut: bool,
}

pub(super) struct Member {
    /// In an object.
    pub(super) name: Option<Clip>,
    pub(super) value: Value,
    /// How many members are kept in this one, itself included.
    nodes: usize,
}

pub(super) enum Value {
    String(Clip),
    Number(Clip),
    Literal(&'static str),
    Container(Bracket, Members),
    /// A container of which nothing is kept: it lies too deep, or enough has been kept already.
    Sealed {
        bracket: Bracket,
        len: u64,
        /// How many levels there are in it.
        levels: u64,
        cut: bool,
    },
}

impl Outline {
    /// Reads a JSON text up to its end or to the scanner's limit.
    pub(super) fn read<R: BufRead>(scanner: &mut Scanner<R>) -> Result<Self, Flaw> {
        let mut reader = Reader {
            scanner,
            kept: 0,
            names: 0,
            total: 0,
            levels: 0,
            repeated: (Vec::new(), 0),
        };
        let values = reader.members(1)?;
        Ok(Self {
            values,
            total: reader.total,
            levels: reader.levels,
            repeated: reader.repeated,
        })
    }
}

struct Reader<'a, R> {
    scanner: &'a mut Scanner<R>,
    /// Members that are kept now.
    kept: usize,
    /// Names of open objects that are remembered now.
    names: usize,
    total: u64,
    levels: u64,
    repeated: (Vec<Clip>, u64),
}

impl<R: BufRead> Reader<'_, R> {
    /// Reads to the end of the container that is open; its members are on level `level`, which
    /// bounds how far this recurses.
    fn members(&mut self, level: u64) -> Result<Members, Flaw> {
        let mut members = Members::default();
        let mut tail = VecDeque::new();
        let mut names = HashSet::new();
        let mut name = None;
        while let Some(piece) = self.piece(&mut members)? {
            let value = match piece {
                Piece::End | Piece::Close => break,
                Piece::Key(key, hash) => {
                    self.remember(&mut names, &key, hash);
                    name = Some(key);
                    continue;
                }
                Piece::String(text) => Value::String(text),
                Piece::Number(digits) => Value::Number(digits),
                Piece::Literal(word) => Value::Literal(word),
                Piece::Open(bracket) if level > MAX_LEVELS || self.kept > MAX_KEPT => {
                    self.sealed(bracket, level)?
                }
                Piece::Open(bracket) => Value::Container(bracket, self.members(level + 1)?),
            };
            self.total += 1;
            self.levels = self.levels.max(level);
            self.keep(&mut members, &mut tail, Member::new(name.take(), value));
        }
        members.kept.extend(tail);
        members.levels += 1;
        self.names -= names.len();
        Ok(members)
    }

    /// The next piece; none at the limit, which every container that is open then notes.
    fn piece(&mut self, members: &mut Members) -> Result<Option<Piece>, Flaw> {
        match self.scanner.next() {
            Ok(piece) => Ok(Some(piece)),
            Err(Flaw {
                problem: Problem::Limit,
                ..
            }) => {
                members.cut = true;
                Ok(None)
            }
            Err(flaw) => Err(flaw),
        }
    }

    fn keep(&mut self, members: &mut Members, tail: &mut VecDeque<Member>, member: Member) {
        self.kept += 1;
        members.len += 1;
        members.levels = members.levels.max(member.value.levels());
        if members.kept.len() < Members::HEAD {
            members.kept.push(member);
            return;
        }
        if tail.len() == Members::TAIL {
            let dropped = tail.pop_front().expect("the tail is full");
            self.kept -= dropped.nodes;
        }
        tail.push_back(member);
    }

    /// Passes over the container that was just opened, without recursion.
    fn sealed(&mut self, bracket: Bracket, level: u64) -> Result<Value, Flaw> {
        let mut members = Members::default();
        let (mut open, mut deepest, mut len) = (1, 1, 0);
        while let Some(piece) = self.piece(&mut members)? {
            match piece {
                Piece::Key(..) => continue,
                Piece::Close | Piece::End => open -= 1,
                _ => {
                    self.total += 1;
                    self.levels = self.levels.max(level + open);
                    len += u64::from(open == 1);
                    open += u64::from(matches!(piece, Piece::Open(_)));
                    deepest = deepest.max(open);
                }
            }
            if open == 0 {
                break;
            }
        }
        Ok(Value::Sealed {
            bracket,
            len,
            levels: deepest,
            cut: members.cut,
        })
    }

    fn remember(&mut self, names: &mut HashSet<u64>, name: &Clip, hash: u64) {
        if names.contains(&hash) {
            self.repeated.1 += 1;
            if self.repeated.0.len() < MAX_REPEATED && !self.repeated.0.contains(name) {
                self.repeated.0.push(name.clone());
            }
        } else if self.names < MAX_NAMES {
            names.insert(hash);
            self.names += 1;
        }
    }
}

impl Members {
    /// How many members are kept from the beginning of a container.
    pub(super) const HEAD: usize = 100;
    /// How many are kept from its end.
    pub(super) const TAIL: usize = 100;
}

impl Value {
    /// How many levels of nesting there are in it.
    fn levels(&self) -> u64 {
        match self {
            Self::String(_) | Self::Number(_) | Self::Literal(_) => 0,
            Self::Container(_, members) => members.levels,
            Self::Sealed { levels, .. } => *levels,
        }
    }
}

impl Member {
    fn new(name: Option<Clip>, value: Value) -> Self {
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
/// 30 MB, which only a file made for it comes near.
const MAX_KEPT: usize = 20_000;

/// Names that are compared to find those that come again; bounds memory to some 20 MB.
const MAX_NAMES: usize = 1_000_000;

/// Repeated names that are shown.
const MAX_REPEATED: usize = 5;
