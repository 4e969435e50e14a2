//! What the map in ARCHITECTURE.md promises of the code itself: files that do not go round in circles,
//! rooms that only know the rooms below, channels that have an end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The files of one crate, by module path.
struct Crate {
    files: BTreeMap<Vec<String>, Source>,
}

struct Source {
    path: PathBuf,
    /// The code without comments, strings and tests.
    code: String,
}

#[test]
fn no_files_go_round_in_circles_but_for_parent_and_child() {
    let mut circles = String::new();
    for root in CRATES {
        let house = Crate::read(Path::new(root));
        let arrows = house.arrows();
        for circle in strongly_connected(&arrows) {
            let mut names: Vec<_> = circle
                .iter()
                .map(|module| house.files[module].path.display().to_string())
                .collect();
            names.sort();
            circles += &format!("\n{}", names.join(" <-> "));
        }
    }
    assert!(circles.is_empty(), "files that import each other:{circles}");
}

#[test]
fn rooms_know_only_the_rooms_below_them() {
    let house = Crate::read(Path::new("src"));
    let mut wrong = String::new();
    for (from, targets) in house.arrows() {
        let Some(above) = FLOORS
            .iter()
            .find(|(room, _)| from.first().is_some_and(|r| r == room))
        else {
            continue;
        };
        for target in targets {
            let room = target.first().map_or("", String::as_str);
            if room != above.0 && !room.is_empty() && !above.1.contains(&room) {
                let path = house.files[&from].path.display();
                wrong += &format!("\n{path} imports {}", target.join("::"));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up:{wrong}");
}

#[test]
fn only_one_file_of_transfer_speaks_the_relays_messages() {
    let house = Crate::read(Path::new("src"));
    let speakers: Vec<_> = house
        .files
        .iter()
        .filter(|(module, _)| module.first().is_some_and(|room| room == "transfer"))
        .filter(|(_, file)| {
            file.code.contains("ClientToServer") || file.code.contains("ServerToClient")
        })
        .map(|(_, file)| file.path.display().to_string())
        .collect();
    assert_eq!(speakers, ["src/transfer/via_relay.rs"]);
}

#[test]
fn every_channel_has_a_bound() {
    for root in CRATES {
        for file in Crate::read(Path::new(root)).files.values() {
            let path = file.path.display();
            assert!(
                !file.code.contains("unbounded_channel("),
                "{path} has a channel without bound"
            );
            assert!(
                !file.code.contains("mpsc::channel()"),
                "{path} has a channel without bound"
            );
        }
    }
}

#[test]
fn this_test_sees_a_circle_where_there_is_one() {
    let file = |name: &str, code: &str| {
        let module: Vec<String> = name.split('/').map(str::to_owned).collect();
        let source = Source {
            path: name.into(),
            code: code.to_owned(),
        };
        (module, source)
    };
    let house = Crate {
        files: [
            file(
                "room",
                "mod a; mod b; mod c; pub use a::A; pub use b::{B, Other as C};",
            ),
            file("room/a", "use super::B; pub struct A;"),
            file(
                "room/b",
                "use crate::room::c; pub struct B; pub struct Other;",
            ),
            file("room/c", "use crate::{room::{a::{self, A}}}; pub fn f() {}"),
        ]
        .into(),
    };
    let circles = strongly_connected(&house.arrows());
    assert_eq!(circles.len(), 1);
    assert_eq!(circles[0].len(), 3);
}

impl Crate {
    fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        let base = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut folders = vec![root.to_owned()];
        let mut tests = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(base.join(&folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let path = folder.join(&name);
                if base.join(&path).is_dir() {
                    folders.push(path);
                    continue;
                }
                let Some(stem) = name.strip_suffix(".rs") else {
                    continue;
                };
                let mut module: Vec<String> = folder
                    .strip_prefix(root)
                    .unwrap()
                    .iter()
                    .map(|part| part.to_str().unwrap().to_owned())
                    .collect();
                match stem {
                    "mod" => {}
                    "lib" if module.is_empty() => {}
                    "main" if module.is_empty() => continue,
                    _ => module.push(stem.to_owned()),
                }
                let text = fs::read_to_string(base.join(&path)).unwrap();
                tests.extend(test_modules(&text).map(|name| {
                    let mut test = module.clone();
                    test.push(name);
                    test
                }));
                let code = without_tests(&without_comments_and_strings(&text));
                files.insert(module, Source { path, code });
            }
        }
        files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Self { files }
    }

    /// Which file takes something from which other, parent and child apart.
    fn arrows(&self) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
        let mut arrows = BTreeMap::new();
        for (module, file) in &self.files {
            let mut targets = BTreeSet::new();
            for path in used_paths(&file.code) {
                if let Some(target) = self.resolve(module, &path, 0) {
                    let family = target.starts_with(module) || module.starts_with(&target);
                    if !family && target != *module {
                        targets.insert(target);
                    }
                }
            }
            arrows.insert(module.clone(), targets);
        }
        arrows
    }

    /// The file that defines what `path` names, seen from `module`.
    fn resolve(&self, module: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
        if depth > 8 {
            return None;
        }
        let mut at = module.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                at.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    at.pop()?;
                    rest = &rest[1..];
                }
            }
            first => {
                let mut child = module.to_vec();
                child.push(first.to_owned());
                self.files.get(&child)?;
            }
        }
        while let Some(part) = rest.first() {
            at.push(part.clone());
            if self.files.contains_key(&at) {
                rest = &rest[1..];
                continue;
            }
            at.pop();
            // Not a file: an item of this one, or one that it hands on.
            for used in used_paths(&self.files.get(&at)?.code) {
                if used.last() == Some(part)
                    && used.len() > 1
                    && used != path
                    && let Some(found) = self.resolve(&at, &used, depth + 1)
                {
                    return Some(found);
                }
            }
            break;
        }
        self.files.contains_key(&at).then_some(at)
    }
}

/// Every path of the `use` declarations, groups taken apart, and every `crate::` and `super::` path besides.
fn used_paths(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let word = rest[..at].chars().next_back();
        rest = &rest[at + 4..];
        if word.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        if let Some(end) = rest.find(';') {
            expand(&rest[..end], &[], &mut paths);
        }
    }
    for (at, _) in code.match_indices("::") {
        let start = code[..at]
            .rfind(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
            .map_or(0, |before| before + 1);
        let end = code[at..]
            .find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
            .map_or(code.len(), |len| at + len);
        let path: Vec<String> = code[start..end]
            .split("::")
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        if path
            .first()
            .is_some_and(|first| first == "crate" || first == "super")
        {
            paths.push(path);
        }
    }
    paths
}

fn expand(tree: &str, prefix: &[String], paths: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let mut prefix = prefix.to_vec();
        prefix.extend(segments(&tree[..open]));
        let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        let (mut depth, mut start) = (0, 0);
        for (at, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&inner[start..at], &prefix, paths);
                    start = at + 1;
                }
                _ => {}
            }
        }
        expand(&inner[start..], &prefix, paths);
    } else if !tree.is_empty() {
        let mut path = prefix.to_vec();
        let name = tree.split(" as ").next().unwrap_or(tree);
        path.extend(segments(name).filter(|part| part != "self" || prefix.is_empty()));
        paths.push(path);
    }
}

fn segments(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
}

/// The names of modules that are there for tests alone.
fn test_modules(text: &str) -> impl Iterator<Item = String> + '_ {
    text.match_indices("#[cfg(test)]\n")
        .filter_map(|(at, attribute)| {
            let line = text[at + attribute.len()..].lines().next()?;
            let name = line.split_once("mod ")?.1;
            Some(name.trim_end_matches(';').to_owned())
        })
}

fn without_tests(code: &str) -> String {
    match code.find("#[cfg(test)]\nmod tests {") {
        Some(at) => code[..at].to_owned(),
        None => code.to_owned(),
    }
}

fn without_comments_and_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut quoted = false;
        let mut before = ' ';
        let mut kept = String::new();
        for (at, c) in line.char_indices() {
            if !quoted && line[at..].starts_with("//") {
                break;
            }
            if c == '"' && before != '\\' && before != '\'' {
                quoted = !quoted;
            } else if !quoted {
                kept.push(c);
            }
            before = c;
        }
        out += &kept;
        out.push('\n');
    }
    out
}

/// The groups of two and more that reach each other (Kosaraju's algorithm).
fn strongly_connected(
    arrows: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
) -> Vec<Vec<Vec<String>>> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for start in arrows.keys() {
        visit(start, arrows, &mut seen, &mut order);
    }
    let mut back: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (from, targets) in arrows {
        for target in targets {
            back.entry(target.clone()).or_default().insert(from.clone());
        }
    }
    let mut seen = BTreeSet::new();
    let mut groups = Vec::new();
    for start in order.iter().rev() {
        let mut group = Vec::new();
        visit(start, &back, &mut seen, &mut group);
        if group.len() > 1 {
            groups.push(group);
        }
    }
    groups
}

fn visit(
    start: &Vec<String>,
    arrows: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    seen: &mut BTreeSet<Vec<String>>,
    order: &mut Vec<Vec<String>>,
) {
    if !seen.insert(start.clone()) {
        return;
    }
    for next in arrows.get(start).into_iter().flatten() {
        visit(next, arrows, seen, order);
    }
    order.push(start.clone());
}

/// Where the crates of the house are.
const CRATES: [&str; 3] = ["src", "crates/p2p-core/src", "crates/p2p-view/src"];

/// Which rooms each room may know: the table of ARCHITECTURE.md.
const FLOORS: [(&str, &[&str]); 10] = [
    ("cluster", &[]),
    ("direct", &[]),
    ("lan", &[]),
    ("quic", &[]),
    ("storage", &[]),
    ("home", &[]),
    ("transfer", &["direct", "lan", "quic", "storage", "home"]),
    ("relay", &["cluster", "quic"]),
    ("operation", &["relay"]),
    ("display", &["transfer"]),
];
