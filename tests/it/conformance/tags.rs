//! Lists of tags: complete, in order, in pages.

use reqwest::Method;
use serde_json::json;

use super::Run;
use super::client::{Answer, Ask, Client, Fault};
use super::data::{DataSet, Maker};
use super::report::Category::TagList;

/// Tags of one answer.
fn tags(answer: &Answer) -> Result<Vec<String>, Fault> {
    let body = answer.json()?;
    let tags = body["tags"].as_array().ok_or_else(|| format!("no tags in {body}"))?;
    Ok(tags.iter().filter_map(|tag| tag.as_str()).map(str::to_owned).collect())
}

async fn list(client: &Client, repository: &str, query: &str) -> Result<Answer, Fault> {
    let path = format!("/v2/{repository}/tags/list{query}");
    client.send(Ask::new(Method::GET, path)).await?.status(&[200])
}

/// Where the next page is.
fn next(answer: &Answer) -> Result<Option<String>, Fault> {
    let Some(link) = answer.get("link") else { return Ok(None) };
    let target = link.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match target {
        Some((target, rest)) if rest.contains("rel=\"next\"") => Ok(Some(target.to_owned())),
        _ => Err(format!("Link is {link:?}")),
    }
}

async fn has_all(client: &Client, repository: &str, wanted: &[&String]) -> Result<(), Fault> {
    let answer = list(client, repository, "").await?;
    let listed = tags(&answer)?;
    if let Some(missing) = wanted.iter().find(|tag| !listed.contains(tag)) {
        return Err(format!("{missing} is not in {listed:?}"));
    }
    if !listed.is_sorted() {
        return Err(format!("{listed:?} is not in order"));
    }
    if answer.json()?["name"] != repository {
        return Err("the list does not name its repository".to_owned());
    }
    // `last` leaves out everything up to and including itself, whether that tag exists or not.
    let middle = &listed[listed.len() / 2];
    for last in [middle.clone(), format!("{middle}!")] {
        let last = serde_urlencoded::to_string([("last", &last)]).expect("a query");
        let rest = tags(&list(client, repository, &format!("?{last}")).await?)?;
        if rest != listed[listed.len() / 2 + 1..] {
            return Err(format!("{last} leads to {rest:?}"));
        }
    }
    Ok(())
}

/// Follows `Link` from page to page and compares with the whole.
async fn in_pages(client: &Client, repository: &str) -> Result<(), Fault> {
    let all = tags(&list(client, repository, "").await?)?;
    for n in [1, 2, 5, 7, all.len(), 100] {
        let (mut seen, mut pages) = (Vec::new(), 0);
        let mut target = format!("/v2/{repository}/tags/list?n={n}");
        loop {
            let answer = client.send(Ask::new(Method::GET, target)).await?.status(&[200])?;
            let page = tags(&answer)?;
            if page.len() > n || pages > all.len() {
                return Err(format!("n={n}: {} tags on page {pages}", page.len()));
            }
            seen.extend(page);
            pages += 1;
            match next(&answer)? {
                Some(location) => target = location,
                None => break,
            }
        }
        if seen != all || pages > all.len().div_ceil(n) {
            return Err(format!("n={n}: {pages} pages of {seen:?}"));
        }
    }
    let none = list(client, repository, "?n=0").await?;
    match (tags(&none)?.is_empty(), next(&none)?) {
        (true, None) => {}
        _ => return Err("n=0 has to be an empty list without a Link".to_owned()),
    }
    list(client, repository, "?n=1000000000").await?;
    let path = format!("/v2/{repository}/tags/list?n=-1");
    client.send(Ask::new(Method::GET, path)).await?.status(&[400]).map(drop)
}

impl Run {
    /// A repository that nothing was pushed to.
    pub(super) async fn tags_of_nothing(&mut self) {
        let path = format!("/v2/{}/tags/list", self.repository);
        let answer = self.client.send(Ask::new(Method::GET, path)).await;
        let answer = answer.and_then(|answer| answer.status(&[200, 404]));
        self.report.note("Empty repository", &[TagList], answer);
    }

    /// The tags of a data set that was just pushed.
    pub(super) async fn list_tags(&mut self, data: &DataSet) {
        let wanted: Vec<&String> = data.manifests.iter().flat_map(|m| &m.tags).collect();
        if !wanted.is_empty() {
            let listed = has_all(&self.client, self.repository, &wanted).await;
            self.report.note(data.name, &[TagList], listed);
        }
    }

    /// Enough tags for several pages, of names that different collations sort differently.
    pub(super) async fn tags_in_pages(&mut self) {
        let set = "Many tags";
        let names: Vec<String> = (0..8)
            .flat_map(|n| {
                [format!("v{n}"), format!("V{n}"), format!("v{n}.0-rc_1"), format!("_{n}")]
            })
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut maker = Maker::new(set);
        maker.image(&names, json!({}));
        let data = maker.done();
        self.push(&data).await;
        self.list_tags(&data).await;
        let paged = in_pages(&self.client, self.repository).await;
        self.report.note(set, &[TagList], paged);
        self.remove(&data).await;
    }
}
