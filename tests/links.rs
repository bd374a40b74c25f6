//! Checks every relative link in the repository's Markdown: the file exists, and where the link names a heading, the page
//! has it. Links to other sites are not followed.

#![allow(clippy::unwrap_used, reason = "a test may fail so")]

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold what was built or downloaded, not pages of ours.
const NOT_OURS: [&str; 6] = ["target", "node_modules", "runs", "dist", ".git", "pkg"];

#[test]
fn every_relative_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = pages(root);
    assert!(pages.contains(&root.join("README.md")) && pages.contains(&root.join("docs/guide.md")));
    let (mut checked, mut broken) = (0, Vec::new());
    for page in &pages {
        for link in links(&fs::read_to_string(page).unwrap()) {
            checked += 1;
            if let Err(why) = follow(page, &link) {
                let page = page.strip_prefix(root).unwrap().display();
                broken.push(format!("{page}: {link}: {why}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(checked > 50, "only {checked} links were found");
}

#[test]
fn links_and_headings_are_read() {
    let page = "# A `b` & c\n[x](a.md#one) ![y](p.png \"title\")\n`[no](no.md)`\n```sh\n# no\n[no](no.md)\n```\n## A b c";
    assert_eq!(links(page), ["a.md#one", "p.png"]);
    assert_eq!(headings(page), ["a-b--c", "a-b-c"]);
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide.md");
    follow(&guide, "#write-an-op").unwrap();
    follow(&guide, "../README.md#data-and-licence").unwrap();
    follow(&guide, "nosuch.md").unwrap_err();
    follow(&guide, "#nosuch").unwrap_err();
}

fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() && !NOT_OURS.contains(&name.as_str()) {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found
}

/// The lines that are not in code blocks.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The targets of all links and pictures, without titles.
fn links(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(page) {
        // Every second piece is inline code.
        let text: String = line.split('`').step_by(2).collect();
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            found.push(target.to_owned());
        }
    }
    found
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn headings(page: &str) -> Vec<String> {
    let titles = prose(page).filter(|line| line.starts_with('#'));
    let titles = titles.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: &char| c.is_alphanumeric() || ['-', '_', ' '].contains(c);
    titles.map(|title| title.chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

/// Err where a link of `page` leads nowhere.
fn follow(page: &Path, link: &str) -> Result<(), String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, at)| (file, Some(at)));
    let file = if file.is_empty() { page.to_owned() } else { page.with_file_name("").join(file) };
    if !file.exists() {
        return Err("no such file".into());
    }
    let Some(anchor) = anchor.filter(|_| file.extension().is_some_and(|end| end == "md")) else {
        return Ok(());
    };
    let known = headings(&fs::read_to_string(&file).map_err(|error| error.to_string())?);
    if known.iter().any(|heading| heading == anchor) {
        return Ok(());
    }
    Err(format!("no such heading among {}", known.join(", ")))
}
