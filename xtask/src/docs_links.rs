//! `cargo xtask docs-links`: checks that the papers point only at what is there.
//!
//! Checked are the links to places in this repository, with their headings, and whatever stands
//! between backticks and looks like a path: `folder/file.rs`, `folder/`, and
//! `folder/file.rs::name`, whose file must hold the name. `make target` must be in the Makefile,
//! whose own words that look like paths are checked too.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};

use crate::report;

/// The papers outside `docs/`.
const PAPERS: &[&str] = &["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/RESULTS.md"];
/// Where the commands are.
const MAKEFILE: &str = "Makefile";
/// The folder whose pages are all papers.
const FOLDER: &str = "docs";
/// The endings of file names that make a text between backticks a path.
const ENDINGS: &[&str] = &["md", "proto", "rs", "toml", "json", "yaml"];

/// Something that a paper points at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pointer {
    /// A link: a path from the paper's folder, and a heading there. Without a path, the paper itself.
    Link { path: String, heading: Option<String> },
    /// A path from the top of the repository, and a name in that file.
    Path { path: String, name: Option<String> },
    /// A target of the Makefile.
    Target(String),
}

/// Reads the papers and names every pointer to something that is not there.
pub(crate) fn run() -> Result<ExitCode> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?;
    let mut papers: Vec<PathBuf> = PAPERS.iter().map(PathBuf::from).collect();
    papers.push(MAKEFILE.into());
    pages(root, Path::new(FOLDER), &mut papers)?;
    papers.sort();
    let read = |path: &Path| fs::read_to_string(root.join(path)).ok();
    let exists = |path: &Path| root.join(path).exists();
    let (mut pointers, mut broken) = (0, 0);
    for paper in &papers {
        let text = read(paper).with_context(|| format!("cannot read {}", paper.display()))?;
        let found = match paper.to_str() {
            Some(MAKEFILE) => paths_in(&text),
            _ => pointers_in(&text),
        };
        for (line, pointer) in found {
            pointers += 1;
            if let Some(why) = wrong(paper, &text, &pointer, &exists, &read) {
                broken += 1;
                report::problem(format_args!("{}:{line}: {why}", paper.display()));
            }
        }
    }
    if broken > 0 {
        return Ok(report::FOUND.into());
    }
    report::line(format_args!("docs-links: {} papers, {pointers} pointers", papers.len()));
    Ok(ExitCode::SUCCESS)
}

/// Adds the pages below `folder`.
fn pages(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(root.join(folder))
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let entry =
            entry.with_context(|| format!("cannot read the folder {}", folder.display()))?;
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            pages(root, &path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
    Ok(())
}

/// What `text` points at, with the line it stands on, from 1. Fenced blocks are left out.
fn pointers_in(text: &str) -> Vec<(usize, Pointer)> {
    let mut found = Vec::new();
    for (line, content) in prose(text) {
        // Between the first backtick and the second is code, then prose, and so on.
        for (place, part) in content.split('`').enumerate() {
            if place % 2 == 1 {
                found.extend(path(part).or_else(|| target(part)).map(|pointer| (line, pointer)));
            }
        }
        // A link's text may hold code, its target never does.
        for rest in content.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            found.extend(link(target).map(|pointer| (line, pointer)));
        }
    }
    found
}

/// The paths among the words of `text`, with the line they stand on, from 1.
fn paths_in(text: &str) -> Vec<(usize, Pointer)> {
    let words = (1..).zip(text.lines()).flat_map(|(line, content)| {
        content.split_whitespace().map(move |word| (line, word.trim_end_matches(['.', ',', ';'])))
    });
    words.filter_map(|(line, word)| Some((line, path(word)?))).collect()
}

/// The lines outside fenced blocks, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The pointer in a link's target; none if it leads out of the repository.
fn link(target: &str) -> Option<Pointer> {
    if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = match target.split_once('#') {
        Some((path, heading)) => (path, Some(heading.to_owned())),
        None => (target, None),
    };
    Some(Pointer::Link { path: path.to_owned(), heading })
}

/// The pointer in a text between backticks, if it looks like a path of ours.
fn path(code: &str) -> Option<Pointer> {
    let (path, name) = match code.split_once("::") {
        Some((path, name)) => (path, name.rsplit("::").next()),
        None => (code, None),
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    let ends_well = path.ends_with('/')
        || path.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending));
    let ours = path.contains('/') && !path.starts_with('/') && path.chars().all(plain) && ends_well;
    ours.then(|| Pointer::Path { path: path.to_owned(), name: name.map(ToOwned::to_owned) })
}

/// The pointer in `make target`.
fn target(code: &str) -> Option<Pointer> {
    let name = code.strip_prefix("make ")?.split(' ').next()?;
    let plain = name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
    (plain && !name.is_empty()).then(|| Pointer::Target(name.to_owned()))
}

/// What is wrong with `pointer`, which stands in `paper`; none if it is right.
fn wrong(
    paper: &Path,
    text: &str,
    pointer: &Pointer,
    exists: &dyn Fn(&Path) -> bool,
    read: &dyn Fn(&Path) -> Option<String>,
) -> Option<String> {
    match pointer {
        Pointer::Link { path, heading } => {
            let (target, other) = if path.is_empty() {
                (paper.to_owned(), Some(text.to_owned()))
            } else {
                let target = normal(&paper.parent()?.join(path));
                if !exists(&target) {
                    return Some(format!("there is no {}", target.display()));
                }
                let other = read(&target);
                (target, other)
            };
            let heading = heading.as_deref()?;
            let known = other.is_some_and(|other| headings(&other).any(|one| one == heading));
            (!known).then(|| format!("{} has no heading #{heading}", target.display()))
        }
        Pointer::Path { path, name } => {
            if !exists(Path::new(path)) {
                return Some(format!("there is no {path}"));
            }
            let name = name.as_deref()?;
            let known = read(Path::new(path)).is_some_and(|file| holds_word(&file, name));
            (!known).then(|| format!("{path} does not hold {name}"))
        }
        Pointer::Target(name) => {
            let makefile = read(Path::new(MAKEFILE)).unwrap_or_default();
            let rule = format!("{name}:");
            let known = makefile.lines().any(|line| line.starts_with(&rule));
            (!known).then(|| format!("{MAKEFILE} has no target {name}"))
        }
    }
}

/// `path` without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut so_far, part| {
        match part {
            Component::ParentDir => {
                so_far.pop();
            }
            Component::CurDir => {}
            other => so_far.push(other),
        }
        so_far
    })
}

/// The anchors of a page's headings, as GitHub makes them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    prose(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len() && title.starts_with(' ')).then(|| {
            let kept = title.trim().to_lowercase();
            kept.chars()
                .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
                .map(|letter| if letter == ' ' { '-' } else { letter })
                .collect()
        })
    })
}

/// Whether `word` stands in `text` by itself.
fn holds_word(text: &str, word: &str) -> bool {
    let inside = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(inside) && !after.is_some_and(inside)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &[(&str, &str)] = &[
        ("README.md", "# Bistro\n## The two commands\n"),
        ("docs/adr/0001-one.md", "# One\n"),
        ("Makefile", "run: ## See docs/adr/0002-two.md.\n\tcargo run\n"),
        ("crates/store/src/work.rs", "pub struct Work;\nfn check_size() {}\n"),
    ];

    fn problems(paper: &str, text: &str) -> Vec<String> {
        let folders = ["docs", "docs/adr", "crates/store"];
        let read = |path: &Path| {
            let file = FILES.iter().find(|(name, _)| Path::new(name) == path);
            file.map(|(_, content)| (*content).to_owned())
        };
        let exists = |path: &Path| {
            read(path).is_some() || folders.iter().any(|folder| Path::new(folder) == path)
        };
        let broken = |(line, pointer): (usize, Pointer)| {
            wrong(Path::new(paper), text, &pointer, &exists, &read)
                .map(|why| format!("{line}: {why}"))
        };
        pointers_in(text).into_iter().filter_map(broken).collect()
    }

    #[test]
    fn what_is_there_is_right() {
        let text = "# Map\n[a](../README.md#the-two-commands), [b](adr/0001-one.md) and [c](#map);\n\
            `crates/store/src/work.rs`, `crates/store/`, `crates/store/src/work.rs::Work::check_size`\n\
            `make run`";
        assert_eq!(pointers_in(text).len(), 7);
        assert_eq!(problems("docs/MAP.md", text), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_there_is_named_with_its_line() {
        let text = "[a](adr/0002-two.md)\n\n[b](../README.md#nowhere) `crates/store/src/gone.rs`\n\
            `crates/store/src/work.rs::check` `make tea`";
        let expected = [
            "1: there is no docs/adr/0002-two.md",
            "3: there is no crates/store/src/gone.rs",
            "3: README.md has no heading #nowhere",
            "4: crates/store/src/work.rs does not hold check",
            "4: Makefile has no target tea",
        ];
        assert_eq!(problems("docs/MAP.md", text), expected);
    }

    #[test]
    fn the_makefile_points_at_files_by_their_names_alone() {
        let path = "docs/adr/0002-two.md".to_owned();
        assert_eq!(paths_in(FILES[2].1), [(1, Pointer::Path { path, name: None })]);
    }

    #[test]
    fn what_only_looks_like_a_path_is_left_alone() {
        let text = "`/api/v1/openapi.json` `services/<role>/src/lib.rs` `and/or` `bistro.sqlite` \
            [x](https://example.org/a.md)\n```sh\ncat no/such/file.rs [y](gone.md)\n```\n";
        assert_eq!(pointers_in(text), []);
    }
}
