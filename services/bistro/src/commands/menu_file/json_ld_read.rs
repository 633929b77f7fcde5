//! Reads schema.org's `Restaurant` and `Menu` from JSON-LD.
//!
//! The document may be one node, a list of nodes or a `@graph`. Properties may be written plainly,
//! with the prefix `schema:` or as whole addresses; a node may stand for another of the same `@id`.
//! Contexts are not fetched. What is none of a menu's business (nutrition, ratings) is passed over.

use std::collections::{HashMap, HashSet};

use bistro_core::{Currency, Diet, Error, ErrorCode, Money};
use serde_json::Value;

use super::{
    Choice, Details, Group, Item, Menu, MenuFile, Place, Profile, Rejected, Section, cells,
    name_key, profile, reject_doubles,
};

/// What `schema.org` is called in front of a property.
const PREFIXES: [&str; 4] = ["", "schema:", "https://schema.org/", "http://schema.org/"];
/// The types that are a restaurant.
const RESTAURANTS: [&str; 8] = [
    "Restaurant",
    "FastFoodRestaurant",
    "CafeOrCoffeeShop",
    "BarOrPub",
    "Bakery",
    "IceCreamShop",
    "Brewery",
    "FoodEstablishment",
];
/// The names of schema.org's diets that are not ours with `Diet` behind them.
const DIETS: [(&str, Diet); 11] = [
    ("DiabeticDiet", Diet::Diabetic),
    ("GlutenFreeDiet", Diet::GlutenFree),
    ("HalalDiet", Diet::Halal),
    ("HinduDiet", Diet::Hindu),
    ("KosherDiet", Diet::Kosher),
    ("LowCalorieDiet", Diet::LowCalorie),
    ("LowFatDiet", Diet::LowFat),
    ("LowLactoseDiet", Diet::LowLactose),
    ("LowSaltDiet", Diet::LowSalt),
    ("VeganDiet", Diet::Vegan),
    ("VegetarianDiet", Diet::Vegetarian),
];

/// Marks a menu that is none: items that are in no section.
pub(super) const IN_NO_SECTION: &str = "bistro:inNoSection";

/// The word of schema.org for a diet.
pub(super) fn diet_name(word: &str) -> Option<&'static str> {
    let diet = Diet::parse(word)?;
    DIETS.iter().find(|(_, known)| *known == diet).map(|(name, _)| *name)
}

/// A document that was read.
#[derive(Debug)]
pub(crate) struct Document {
    /// None when the document is a menu without its restaurant.
    pub(crate) profile: Option<Profile>,
    /// Of every price.
    pub(crate) currency: Currency,
    pub(crate) menu: MenuFile,
}

/// Reads a document whose prices are in `currency`, or if none is given in the one that it says; what
/// cannot be read is rejected and the rest is taken.
pub(crate) fn read(
    bytes: &[u8],
    currency: Option<Currency>,
) -> Result<(Document, Vec<Rejected>), Error> {
    let document: Value = serde_json::from_slice(bytes).map_err(|cause| {
        Error::new(ErrorCode::InvalidArgument, format!("the file is not JSON: {cause}"))
    })?;
    let roots = roots(&document);
    let of_type = |names: &[&str]| roots.iter().find(|node| node.is_a(names)).cloned();
    let (restaurant, menu) = (of_type(&RESTAURANTS), of_type(&["Menu"]));
    let Some(top) = restaurant.clone().or_else(|| menu.clone()) else {
        let message = "the file holds no node of the type Restaurant or Menu (schema.org)";
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    };
    let mut reader = Reader::new(&roots);
    let said = reader.currency(&top);
    reader.currency = currency.or(said).unwrap_or(Currency::GBP);
    let profile = restaurant.as_ref().map(|node| profile::read(&mut reader, node));
    let mut menus = match &restaurant {
        Some(node) => [reader.all(node, "hasMenu"), reader.all(node, "menu")].concat(),
        None => roots.iter().filter(|node| node.is_a(&["Menu"])).cloned().collect(),
    };
    if menus.is_empty() {
        menus.extend(menu);
    }
    if let Some(node) = &restaurant {
        for group in reader.all(node, "bistro:optionGroups") {
            reader.group(&group);
        }
    }
    for menu in menus {
        reader.menu(&menu);
    }
    let Reader { mut file, mut rejected, currency, .. } = reader;
    reject_doubles(&mut file.items, &mut rejected);
    Ok((Document { profile, currency, menu: file }, rejected))
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) pointer: String,
    pub(super) value: &'a Value,
}

impl<'a> Node<'a> {
    /// Whether its `@type` is one of `names`.
    fn is_a(&self, names: &[&str]) -> bool {
        let types = match self.value.get("@type") {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![one.as_str()],
            _ => Vec::new(),
        };
        types.iter().any(|kind| {
            let plain = PREFIXES.iter().rev().find_map(|prefix| kind.strip_prefix(prefix));
            names.contains(&plain.unwrap_or(kind))
        })
    }

    /// Its elements if it is a list, or itself.
    fn each(self) -> Vec<Node<'a>> {
        let Value::Array(all) = self.value else {
            return vec![self];
        };
        let place = |(place, value)| Node { pointer: format!("{}/{place}", self.pointer), value };
        all.iter().enumerate().map(place).collect()
    }
}

/// The nodes at the top.
fn roots(document: &Value) -> Vec<Node<'_>> {
    let top = Node { pointer: String::new(), value: document };
    let mut roots = Vec::new();
    for node in top.each() {
        if let Some(graph) = node.value.get("@graph") {
            let pointer = format!("{}/@graph", node.pointer);
            roots.extend(Node { pointer, value: graph }.each());
        }
        roots.push(node);
    }
    roots
}

/// Reads the nodes of one document.
pub(super) struct Reader<'a> {
    /// Nodes by `@id`.
    named: HashMap<&'a str, Node<'a>>,
    currency: Currency,
    file: MenuFile,
    rejected: Vec<Rejected>,
    /// Sections that are being read, so that one that holds itself is read once.
    above: HashSet<String>,
}

impl<'a> Reader<'a> {
    fn new(roots: &[Node<'a>]) -> Self {
        let mut named = HashMap::new();
        for root in roots {
            find_named(root.clone(), &mut named);
        }
        Self {
            named,
            currency: Currency::GBP,
            file: MenuFile::default(),
            rejected: Vec::new(),
            above: HashSet::new(),
        }
    }

    /// That the node is not taken, and why.
    pub(super) fn reject(&mut self, node: &Node<'_>, reason: &str) {
        let place = Place::Node(node.pointer.clone());
        self.rejected.push(Rejected { place, reason: reason.to_owned() });
    }

    /// The values of a property.
    pub(super) fn all(&self, node: &Node<'a>, name: &str) -> Vec<Node<'a>> {
        let mut found = Vec::new();
        for prefix in PREFIXES {
            let key = format!("{prefix}{name}");
            if let Some(value) = node.value.get(&key).filter(|value| !value.is_null()) {
                let pointer =
                    format!("{}/{}", node.pointer, key.replace('~', "~0").replace('/', "~1"));
                found.extend(Node { pointer, value }.each());
            }
        }
        found.into_iter().map(|node| self.resolved(node)).collect()
    }

    /// The node that is meant: a node with nothing but an `@id` stands for another.
    fn resolved(&self, node: Node<'a>) -> Node<'a> {
        let id = node.value.as_object().filter(|fields| fields.len() == 1);
        let id = id.and_then(|fields| fields.get("@id")).and_then(Value::as_str);
        id.and_then(|id| self.named.get(id).cloned()).unwrap_or(node)
    }

    /// The first value of a property.
    pub(super) fn one(&self, node: &Node<'a>, name: &str) -> Option<Node<'a>> {
        self.all(node, name).into_iter().next()
    }

    /// A property's text; what is no text is rejected.
    pub(super) fn text(&mut self, node: &Node<'a>, name: &str) -> Option<String> {
        let found = self.one(node, name)?;
        let value = found.value.get("@value").unwrap_or(found.value);
        match value {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => {
                self.reject(&found, &format!("{name} is no text"));
                None
            }
        }
    }

    fn texts(&mut self, node: &Node<'a>, name: &str) -> Option<Vec<String>> {
        let found = self.all(node, name);
        if found.is_empty() {
            return None;
        }
        let mut texts = Vec::new();
        for one in found {
            match one.value.as_str() {
                Some(text) => texts.push(text.trim().to_owned()),
                None => self.reject(&one, &format!("{name} is no text")),
            }
        }
        Some(texts)
    }

    fn number<T: TryFrom<i64>>(&mut self, node: &Node<'a>, name: &str) -> Option<T> {
        let found = self.one(node, name)?;
        let number = found.value.as_i64().or_else(|| found.value.as_str()?.parse().ok());
        let number = number.and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            self.reject(&found, "write a whole number");
        }
        number
    }

    /// The currency that the document says its prices are in.
    fn currency(&mut self, top: &Node<'a>) -> Option<Currency> {
        let accepted = self.text(top, "currenciesAccepted")?;
        accepted.split(',').find_map(|code| code.trim().parse().ok())
    }

    fn menu(&mut self, node: &Node<'a>) {
        if !node.value.is_object() {
            let why = "this is only a link to a menu; save the menu's own JSON-LD and import that";
            self.reject(node, why);
            return;
        }
        if node.value.get(IN_NO_SECTION) == Some(&Value::Bool(true)) {
            let items = self.all(node, "hasMenuItem");
            self.items("", "", &items);
            return;
        }
        let name = self.text(node, "name").filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| "Menu".to_owned());
        let twice = self.file.menus.iter().any(|menu| name_key(&menu.name) == name_key(&name));
        if twice {
            self.reject(node, "another menu has the same name; change one of them");
            return;
        }
        let hours = self.hours(node);
        let menu = Menu {
            place: Place::Node(node.pointer.clone()),
            name: name.clone(),
            description: self.text(node, "description"),
            position: i32::try_from(self.file.menus.len()).ok(),
            hours,
            sections: Vec::new(),
        };
        self.file.menus.push(menu);
        let place = self.file.menus.len() - 1;
        for section in self.all(node, "hasMenuSection") {
            self.section(place, &section, "");
        }
        let loose = self.all(node, "hasMenuItem");
        if !loose.is_empty() {
            self.items(&name, &name, &loose);
        }
    }

    fn hours(&mut self, node: &Node<'a>) -> Option<super::Hours> {
        let text = self.text(node, "bistro:hours")?;
        match text.parse() {
            Ok(hours) => Some(hours),
            Err(why) => {
                self.reject(node, &why);
                None
            }
        }
    }

    /// Reads a section; one within another is told by both names.
    fn section(&mut self, menu: usize, node: &Node<'a>, within: &str) {
        let own = self.text(node, "name").filter(|name| !name.is_empty());
        let Some(own) = own.filter(|_| node.value.is_object()) else {
            self.reject(node, "a section needs a name; it and its items are left out");
            return;
        };
        if !self.above.insert(node.pointer.clone()) {
            self.reject(node, "this section is within itself");
            return;
        }
        let name = if within.is_empty() { own } else { format!("{within}: {own}") };
        let description = self.text(node, "description");
        let items = self.all(node, "hasMenuItem");
        let inner = self.all(node, "hasMenuSection");
        if !items.is_empty() || inner.is_empty() {
            let sections = &mut self.file.menus[menu].sections;
            if !sections.iter().any(|one| name_key(&one.name) == name_key(&name)) {
                sections.push(Section { name: name.clone(), description });
            }
            let menu = self.file.menus[menu].name.clone();
            self.items(&menu, &name, &items);
        }
        for section in inner {
            self.section(menu, &section, &name);
        }
        self.above.remove(&node.pointer);
    }

    fn items(&mut self, menu: &str, section: &str, nodes: &[Node<'a>]) {
        for (position, node) in nodes.iter().enumerate() {
            match self.item(node) {
                Ok(item) => {
                    let position = i32::try_from(position).ok();
                    let details = Details { position, ..item.details };
                    let (menu, section) = (menu.to_owned(), section.to_owned());
                    self.file.items.push(Item { menu, section, details, ..item });
                }
                Err(why) => self.reject(node, &why),
            }
        }
    }

    fn item(&mut self, node: &Node<'a>) -> Result<Item, String> {
        let name = self.text(node, "name").filter(|name| !name.is_empty());
        let name = name.ok_or("an item needs a name")?;
        let price_minor = self.price(node)?.ok_or("an item needs offers with a price")?;
        let image = self.one(node, "image").and_then(|image| {
            let inner = self.one(&image, "url").or_else(|| self.one(&image, "contentUrl"));
            inner.unwrap_or(image).value.as_str().map(str::to_owned)
        });
        let tax_rate = match self.text(node, "bistro:taxRate") {
            Some(text) => Some(cells::read_rate(&text)?),
            None => None,
        };
        let options = self.options(node, &name);
        Ok(Item {
            place: Place::Node(node.pointer.clone()),
            price_minor,
            stock: self.number(node, "bistro:stock"),
            menu: String::new(),
            section: String::new(),
            details: Details {
                position: None,
                description: self.text(node, "description"),
                image_url: image,
                allergens: self.texts(node, "bistro:allergens"),
                diets: self.diets(node),
                tax_rate,
                hours: self.hours(node),
                station: self.text(node, "bistro:station"),
                options,
                ingredients: self.texts(node, "bistro:ingredients"),
            },
            name,
        })
    }

    /// The price of what is offered; none if nothing is said of it.
    fn price(&mut self, node: &Node<'a>) -> Result<Option<i64>, String> {
        let Some(offer) = self.one(node, "offers") else {
            return Ok(None);
        };
        if let Some(code) = self.text(&offer, "priceCurrency")
            && code != self.currency.code()
        {
            return Err(format!("its price is in {code} instead of {}", self.currency));
        }
        let Some(price) = self.text(&offer, "price") else {
            return Ok(None);
        };
        let money = Money::parse_decimal(&price, self.currency).map_err(|why| why.to_string())?;
        Ok(Some(money.amount_minor))
    }

    fn diets(&mut self, node: &Node<'a>) -> Option<Vec<String>> {
        let found = self.all(node, "suitableForDiet");
        if found.is_empty() {
            return None;
        }
        let mut diets = Vec::new();
        for one in found {
            let written = one.value.as_str().or_else(|| one.value["@id"].as_str());
            let plain = written.and_then(|text| text.rsplit(['/', ':']).next());
            match DIETS.iter().find(|(name, _)| Some(*name) == plain) {
                Some((_, diet)) => diets.push(diet.as_str().to_owned()),
                None => self.reject(&one, "this is none of schema.org's diets, such as VeganDiet"),
            }
        }
        Some(diets)
    }

    /// The names of the option groups that the item offers. Add-ons that are in no section make
    /// one of their own.
    fn options(&mut self, node: &Node<'a>, item: &str) -> Option<Vec<String>> {
        let offered = self.all(node, "menuAddOn");
        if offered.is_empty() {
            return None;
        }
        let (mut names, mut loose) = (Vec::new(), Vec::new());
        for one in offered {
            if one.is_a(&["MenuSection"]) || one.value.get("hasMenuItem").is_some() {
                names.extend(self.group(&one));
            } else {
                loose.extend(self.choice(&one));
            }
        }
        if !loose.is_empty() {
            let name = format!("Extras: {item}");
            let place = Place::Node(node.pointer.clone());
            let group = Group { place, name: name.clone(), min: 0, max: None, choices: loose };
            self.file.groups.push(group);
            names.push(name);
        }
        Some(names)
    }

    /// Reads an option group, unless it was read before; its name.
    fn group(&mut self, node: &Node<'a>) -> Option<String> {
        let name = self.text(node, "name").filter(|name| !name.is_empty());
        let Some(name) = name else {
            self.reject(node, "add-ons in a section need its name");
            return None;
        };
        if self.file.groups.iter().any(|group| name_key(&group.name) == name_key(&name)) {
            return Some(name);
        }
        let nodes = self.all(node, "hasMenuItem");
        let choices: Vec<_> = nodes.iter().filter_map(|node| self.choice(node)).collect();
        if choices.is_empty() {
            self.reject(node, "none of these add-ons can be read");
            return None;
        }
        let (min, max) = (self.number(node, "bistro:min"), self.number(node, "bistro:max"));
        let place = Place::Node(node.pointer.clone());
        let group = Group { place, name: name.clone(), min: min.unwrap_or(0), max, choices };
        self.file.groups.push(group);
        Some(name)
    }

    fn choice(&mut self, node: &Node<'a>) -> Option<Choice> {
        let name = self.text(node, "name").filter(|name| !name.is_empty());
        let price = self.price(node);
        let (name, price) = match (name, price) {
            (Some(name), Ok(price)) => (name, price),
            (None, _) => {
                self.reject(node, "an add-on needs a name");
                return None;
            }
            (_, Err(why)) => {
                self.reject(node, &why);
                return None;
            }
        };
        Some(Choice {
            name,
            // What is said to cost nothing more costs nothing more.
            price_minor: price.unwrap_or(0),
            allergens: self.texts(node, "bistro:allergens").unwrap_or_default(),
            ingredients: self.texts(node, "bistro:ingredients").unwrap_or_default(),
        })
    }
}

/// Finds what has an `@id` and says more.
fn find_named<'a>(node: Node<'a>, named: &mut HashMap<&'a str, Node<'a>>) {
    match node.value {
        Value::Array(_) => {
            for inner in node.each() {
                find_named(inner, named);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let key = name.replace('~', "~0").replace('/', "~1");
                find_named(Node { pointer: format!("{}/{key}", node.pointer), value }, named);
            }
            let id = fields.get("@id").and_then(Value::as_str).filter(|_| fields.len() > 1);
            if let Some(id) = id {
                named.insert(id, node);
            }
        }
        _ => {}
    }
}
