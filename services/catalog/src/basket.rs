//! Whether the lines of a basket can be ordered, what they cost, and what they take out of counted
//! stock.

use std::collections::BTreeMap;

use bistro_core::{Allergen, Error, ErrorCode, Id, MAX_LINE_QUANTITY, MAX_ORDER_LINES, kinds};
use bistro_proto::catalog::v1::BasketLine;

use crate::{
    documents::{Choice, Item, OptionGroup},
    fields::Fields,
    option_groups::group_of,
    reservations::{Quantities, Taken},
    shops::Moment,
};

/// Choices of one line at most.
const MAX_CHOICES: usize = 100;

/// A basket's items by id.
pub(crate) type Items = BTreeMap<Id<kinds::Item>, Item>;

/// One line as it was asked. An id that is none is kept as such: there is no such thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) item: Option<Id<kinds::Item>>,
    pub(crate) quantity: u32,
    pub(crate) choices: Vec<Option<Id<kinds::Choice>>>,
}

/// Why a line cannot be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The restaurant has no such item.
    NotFound,
    /// It is on the menu, but not to be had now.
    Unavailable,
    /// Fewer are free than the whole basket asks for.
    SoldOut,
    /// It is not to be had at this time of day.
    NotNow,
    /// The item offers no such choice.
    ChoiceNotFound,
    /// It offers the choice, but it is not to be had now.
    ChoiceUnavailable,
    /// Of some group, more has to be chosen.
    TooFewChoices,
    /// Of some group, less may be chosen.
    TooManyChoices,
}

impl Refusal {
    /// The word on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Unavailable => "unavailable",
            Self::SoldOut => "sold_out",
            Self::NotNow => "not_now",
            Self::ChoiceNotFound => "choice_not_found",
            Self::ChoiceUnavailable => "choice_unavailable",
            Self::TooFewChoices => "too_few_choices",
            Self::TooManyChoices => "too_many_choices",
        }
    }
}

/// What became of one line.
#[derive(Debug, Default)]
pub(crate) struct Judged<'a> {
    /// The item, if the restaurant has it.
    pub(crate) item: Option<&'a Item>,
    /// Those of the wanted choices that it offers.
    pub(crate) choices: Vec<&'a Choice>,
    /// Why the line cannot be ordered, and the name of what is in the way if it is not the item.
    pub(crate) refusal: Option<(Refusal, String)>,
}

impl Judged<'_> {
    /// What one costs with its choices; never less than nothing.
    pub(crate) fn unit_price_minor(&self) -> i64 {
        let price = self.item.map_or(0, |item| item.price_minor);
        let choices: i64 = self.choices.iter().map(|choice| choice.price_minor).sum();
        (price + choices).max(0)
    }

    /// What is in the item and its choices.
    pub(crate) fn allergens(&self) -> Vec<Allergen> {
        let own = self.item.into_iter().flat_map(|item| &item.details.allergens);
        let chosen = self.choices.iter().flat_map(|choice| &choice.allergens);
        let mut all: Vec<_> = own.chain(chosen).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Reads the lines, or says what is wrong with all of them.
pub(crate) fn read(lines: &[BasketLine]) -> Result<Vec<Line>, Error> {
    if lines.is_empty() || lines.len() > MAX_ORDER_LINES {
        return Err(Error::field("lines", format!("write 1 to {MAX_ORDER_LINES} lines")));
    }
    let mut fields = Fields::default();
    for (place, line) in lines.iter().enumerate() {
        if !(1..=MAX_LINE_QUANTITY).contains(&line.quantity) {
            let how = format!("write a whole number from 1 to {MAX_LINE_QUANTITY}");
            fields.wrong(format!("lines[{place}].quantity"), how);
        }
        fields.count(&format!("lines[{place}].choices"), line.choice_ids.len(), MAX_CHOICES);
    }
    let read = |line: &BasketLine| Line {
        item: line.item_id.parse().ok(),
        quantity: line.quantity,
        choices: line.choice_ids.iter().map(|id| id.parse().ok()).collect(),
    };
    fields.done(())?;
    Ok(lines.iter().map(read).collect())
}

/// The ids of the items asked for, each once.
pub(crate) fn item_ids(lines: &[Line]) -> Vec<String> {
    quantities(lines).into_keys().map(|item| item.to_string()).collect()
}

/// Whether judging the lines takes more than the items themselves.
pub(crate) fn needs_frame(lines: &[Line], items: &Items) -> bool {
    let is_plain = |item: &Item| {
        let details = &item.details;
        details.section.is_none()
            && details.option_groups.is_empty()
            && details.ingredients.is_empty()
    };
    lines.iter().any(|line| !line.choices.is_empty()) || !items.values().all(is_plain)
}

/// How many of each item all lines together ask for.
fn quantities(lines: &[Line]) -> Quantities {
    let mut sums = Quantities::new();
    for line in lines {
        if let Some(item) = line.item {
            *sums.entry(item).or_insert(0) += i64::from(line.quantity);
        }
    }
    sums
}

/// Each line with its item and choices, and why it cannot be ordered, if it cannot. What the
/// order has taken already, `own`, is free for it.
pub(crate) fn judge<'a>(
    restaurant: Id<kinds::Restaurant>,
    lines: &[Line],
    items: &'a Items,
    own: &Quantities,
    moment: &'a Moment<'a>,
) -> Vec<Judged<'a>> {
    let asked = quantities(lines);
    let judge = |line: &Line| {
        let item = line.item.and_then(|id| items.get(&id));
        let Some(item) = item.filter(|item| item.restaurant == restaurant && !item.deleted) else {
            return Judged {
                refusal: Some((Refusal::NotFound, String::new())),
                ..Judged::default()
            };
        };
        let free = item.free + own.get(&item.id).copied().unwrap_or(0);
        let refusal = if !moment.has_item(item) {
            Some(Refusal::Unavailable)
        } else if item.counted && free < asked[&item.id] {
            Some(Refusal::SoldOut)
        } else if !moment.is_time_of(item) {
            Some(Refusal::NotNow)
        } else {
            None
        };
        let (choices, wrong_choice) = choose(line, item, moment);
        let refusal = refusal.map(|refusal| (refusal, String::new())).or(wrong_choice);
        Judged { item: Some(item), choices, refusal }
    };
    lines.iter().map(judge).collect()
}

/// The wanted choices that the item offers, and what is wrong with the others or their number.
fn choose<'a>(
    line: &Line,
    item: &Item,
    moment: &'a Moment<'a>,
) -> (Vec<&'a Choice>, Option<(Refusal, String)>) {
    let groups: Vec<&OptionGroup> = moment.frame.groups_of(item).collect();
    let mut chosen = Vec::new();
    let mut wrong = None;
    for id in &line.choices {
        // A choice's id says which group it is of, so nothing else is searched.
        let known = id.and_then(|id| moment.frame.choice(id));
        match known {
            Some((group, choice)) if item.details.option_groups.contains(&group.id) => {
                chosen.push(choice);
            }
            _ => {
                let name = known.map(|(_, choice)| choice.name.clone()).unwrap_or_default();
                wrong = wrong.or(Some((Refusal::ChoiceNotFound, name)));
            }
        }
    }
    let missing = chosen.iter().find(|choice| !moment.has_choice(choice));
    wrong = wrong.or_else(|| Some((Refusal::ChoiceUnavailable, missing?.name.clone())));
    let miscounted = |group: &&&OptionGroup| count(group, &chosen);
    let (few, many) = (
        groups.iter().find(|group| miscounted(group) < group.min as usize),
        groups.iter().find(|group| group.max.is_some_and(|max| miscounted(group) > max as usize)),
    );
    let wrong = wrong
        .or_else(|| Some((Refusal::TooFewChoices, few?.name.clone())))
        .or_else(|| Some((Refusal::TooManyChoices, many?.name.clone())));
    (chosen, wrong)
}

/// How many of `chosen` are the group's.
fn count(group: &OptionGroup, chosen: &[&Choice]) -> usize {
    chosen.iter().filter(|choice| group_of(choice.id) == group.id).count()
}

/// What the lines take out of counted stock, one entry per item; or the error that names every
/// item that cannot be had.
pub(crate) fn take(lines: &[Line], judged: &[Judged<'_>]) -> Result<Vec<Taken>, Error> {
    let refusals =
        || judged.iter().filter_map(|one| one.refusal.as_ref().map(|why| (one.item, why)));
    let is_gone = |refusal| matches!(refusal, Refusal::NotFound | Refusal::ChoiceNotFound);
    if refusals().any(|(_, (refusal, _))| is_gone(*refusal)) {
        let what = "such item or choice on the restaurant's menu; ask for a new quote";
        return Err(Error::not_found(what));
    }
    let mut missing: Vec<String> = Vec::new();
    for (item, (refusal, name)) in refusals() {
        let Some(item) = item else {
            continue;
        };
        let why = match refusal {
            Refusal::SoldOut => format!("{} ({} left)", item.name, item.free.max(0)),
            Refusal::NotNow => format!("{} (not to be had at this time)", item.name),
            Refusal::ChoiceUnavailable => {
                format!("{} (with {name}, which is not to be had now)", item.name)
            }
            Refusal::TooFewChoices | Refusal::TooManyChoices => {
                format!("{} (its options for {name} were changed)", item.name)
            }
            Refusal::NotFound | Refusal::ChoiceNotFound | Refusal::Unavailable => {
                format!("{} (not to be had now)", item.name)
            }
        };
        if !missing.contains(&why) {
            missing.push(why);
        }
    }
    if !missing.is_empty() {
        let message = format!("sold out: {}; change the order and try again", missing.join(", "));
        return Err(Error::new(ErrorCode::SoldOut, message));
    }
    let counted: Vec<_> =
        judged.iter().filter_map(|one| one.item).filter(|item| item.counted).collect();
    Ok(quantities(lines)
        .into_iter()
        .filter(|(id, _)| counted.iter().any(|item| item.id == *id))
        .map(|(item, quantity)| Taken { item, quantity })
        .collect())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        documents::{Ingredient, Menu, Section},
        fields::MAX_PRICE,
        samples::{HERE, at, choice, choice_id, group, group_id, hours, item, menu},
        shops::Frame,
    };

    fn line(id: u128, quantity: u32) -> Line {
        Line { item: Some(Id::from_bits(id)), quantity, choices: Vec::new() }
    }

    fn with(id: u128, choices: &[(u128, u128)]) -> Line {
        let choices = choices.iter().map(|(group, number)| Some(choice_id(*group, *number)));
        Line { choices: choices.collect(), ..line(id, 1) }
    }

    fn stocked(id: u128, counted: bool, free: i64) -> Item {
        Item { counted, free, stocked: free, ..item(id) }
    }

    fn items(all: impl IntoIterator<Item = Item>) -> Items {
        all.into_iter().map(|item| (item.id, item)).collect()
    }

    fn noon(frame: &Frame) -> Moment<'_> {
        Moment { frame, zone: TimeZone::UTC, when: at("2026-11-20T12:00:00Z") }
    }

    /// The refusals of the lines, without names.
    fn refusals(lines: &[Line], items: &Items, moment: &Moment<'_>) -> Vec<Option<Refusal>> {
        let judged = judge(HERE, lines, items, &Quantities::new(), moment);
        judged.into_iter().map(|one| one.refusal.map(|(refusal, _)| refusal)).collect()
    }

    fn taken(lines: &[Line], items: &Items, own: &Quantities) -> Result<Vec<Taken>, Error> {
        let frame = Frame::default();
        let moment = noon(&frame);
        take(lines, &judge(HERE, lines, items, own, &moment))
    }

    #[test]
    fn repeated_lines_count_together_and_what_is_held_already_is_free() {
        let items = items([stocked(1, true, 3)]);
        let frame = Frame::default();
        let moment = noon(&frame);
        assert_eq!(refusals(&[line(1, 3)], &items, &moment), [None]);
        let twice = refusals(&[line(1, 2), line(1, 2)], &items, &moment);
        assert_eq!(twice, [Some(Refusal::SoldOut); 2]);
        let own = Quantities::from([(Id::from_bits(1), 1)]);
        let four = taken(&[line(1, 2), line(1, 2)], &items, &own).unwrap();
        assert_eq!(four, [Taken { item: Id::from_bits(1), quantity: 4 }]);
        assert!(taken(&[line(1, 5)], &items, &own).is_err());
    }

    #[test]
    fn another_restaurants_item_a_deleted_one_and_rubbish_are_not_found() {
        let elsewhere = Item { restaurant: Id::from_bits(77), ..item(1) };
        let items = items([elsewhere, Item { deleted: true, ..item(2) }]);
        let frame = Frame::default();
        let rubbish = Line { item: None, ..line(1, 1) };
        let asked = [line(1, 1), line(2, 1), rubbish];
        assert_eq!(refusals(&asked, &items, &noon(&frame)), [Some(Refusal::NotFound); 3]);
    }

    #[test]
    fn a_refusal_names_each_item_once() {
        let off = Item { available: false, ..item(2) };
        let items = items([stocked(1, true, 1), off]);
        let asked = [line(1, 1), line(1, 1), line(2, 1)];
        let error = taken(&asked, &items, &Quantities::new()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::SoldOut);
        assert_eq!(error.message().matches("dish 1 (1 left)").count(), 1, "{error}");
        assert!(error.message().contains("dish 2 (not to be had now)"), "{error}");
    }

    #[test]
    fn what_comes_back_is_to_be_had_from_then_on() {
        let back_at = Some(at("2026-11-20T12:00:00Z"));
        let items = items([Item { available: false, back_at, ..item(1) }]);
        let frame = Frame::default();
        assert_eq!(refusals(&[line(1, 1)], &items, &noon(&frame)), [None]);
        let before = Moment { when: at("2026-11-20T11:59:59Z"), ..noon(&frame) };
        assert_eq!(refusals(&[line(1, 1)], &items, &before), [Some(Refusal::Unavailable)]);
    }

    #[test]
    fn an_ingredient_takes_its_dishes_and_choices_with_it() {
        let cheese = Id::from_bits(50);
        let out = Ingredient {
            id: cheese,
            restaurant: HERE,
            name: "Cheese".to_owned(),
            available: false,
            back_at: None,
            revision: 1,
            uses: 0,
        };
        let mut extras = group(30, 0, None, &[1, 2]);
        extras.choices[0].ingredients = vec![cheese];
        let frame = Frame {
            groups: [(extras.id, extras)].into(),
            ingredients: [(cheese, out)].into(),
            ..Frame::default()
        };
        let (mut pizza, mut soup) = (item(1), item(2));
        pizza.details.ingredients = vec![cheese];
        soup.details.option_groups = vec![group_id(30)];
        let items = items([pizza, soup]);
        let asked = [line(1, 1), line(2, 1), with(2, &[(30, 1)]), with(2, &[(30, 2)])];
        let expected = [Some(Refusal::Unavailable), None, Some(Refusal::ChoiceUnavailable), None];
        assert_eq!(refusals(&asked, &items, &noon(&frame)), expected);
    }

    #[test]
    fn hours_of_the_menu_and_of_the_item_both_count() {
        let section =
            Section { id: Id::from_bits(21), name: "Eggs".to_owned(), description: String::new() };
        let breakfast =
            Menu { hours: hours("07:00-11:00"), sections: vec![section], ..menu(20).value };
        let frame = Frame {
            menus: vec![bistro_store::Versioned { value: breakfast, version: 1 }],
            ..Frame::default()
        };
        let (mut eggs, mut wine) = (item(1), item(2));
        eggs.details.section = Some(Id::from_bits(21));
        wine.details.hours = hours("12:00-23:00");
        let items = items([eggs, wine]);
        let asked = [line(1, 1), line(2, 1)];
        assert_eq!(refusals(&asked, &items, &noon(&frame)), [Some(Refusal::NotNow), None]);
        let morning = Moment { when: at("2026-11-20T08:00:00Z"), ..noon(&frame) };
        assert_eq!(refusals(&asked, &items, &morning), [None, Some(Refusal::NotNow)]);
    }

    #[test]
    fn choices_are_counted_by_group() {
        let (size, extras) = (group(30, 1, Some(1), &[1, 2]), group(40, 0, Some(2), &[1]));
        let other = group(60, 0, None, &[1]);
        let groups = [size, extras, other].map(|group| (group.id, group)).into();
        let frame = Frame { groups, ..Frame::default() };
        let mut pizza = item(1);
        pizza.details.option_groups = vec![group_id(30), group_id(40)];
        let items = items([pizza]);
        for (choices, refusal, name) in [
            (&[(30, 1)][..], None, ""),
            (&[(30, 1), (40, 1), (40, 1)], None, ""),
            (&[], Some(Refusal::TooFewChoices), "group 30"),
            (&[(30, 1), (30, 2)], Some(Refusal::TooManyChoices), "group 30"),
            (&[(30, 1), (40, 1), (40, 1), (40, 1)], Some(Refusal::TooManyChoices), "group 40"),
            (&[(30, 1), (60, 1)], Some(Refusal::ChoiceNotFound), "choice 1 of 60"),
            (&[(30, 1), (60, 9)], Some(Refusal::ChoiceNotFound), ""),
            (&[(30, 1), (70, 1)], Some(Refusal::ChoiceNotFound), ""),
        ] {
            let moment = noon(&frame);
            let judged = judge(HERE, &[with(1, choices)], &items, &Quantities::new(), &moment);
            let (found, said) = judged[0].refusal.clone().unzip();
            assert_eq!((found, said.as_deref().unwrap_or("")), (refusal, name), "{choices:?}");
        }
    }

    #[test]
    fn choices_add_to_the_price_which_is_never_negative() {
        let cheap = choice(30, 2, -10_000);
        let judged = |choices: &[&'static Choice]| -> i64 {
            let dish = item(1);
            Judged { item: Some(&dish), choices: choices.to_vec(), refusal: None }
                .unit_price_minor()
        };
        let (dear, cheap) = (Box::leak(Box::new(choice(30, 1, 150))), Box::leak(Box::new(cheap)));
        assert_eq!((judged(&[]), judged(&[dear]), judged(&[dear, dear])), (500, 650, 800));
        assert_eq!(judged(&[cheap]), 0);
    }

    #[test]
    fn what_is_out_of_bounds_is_all_said() {
        let asked = |quantity, choices: usize| BasketLine {
            item_id: String::new(),
            quantity,
            choice_ids: vec![String::new(); choices],
        };
        let lines = [asked(0, 0), asked(1, 100), asked(MAX_LINE_QUANTITY + 1, 101)];
        let error = read(&lines).unwrap_err();
        let paths: Vec<_> = error.field_errors().iter().map(|field| field.path.as_str()).collect();
        assert_eq!(paths, ["lines[0].quantity", "lines[2].quantity", "lines[2].choices"]);
        assert!(read(&[]).is_err());
    }

    #[test]
    fn the_dearest_basket_still_adds_up() {
        let lines = i64::try_from(MAX_ORDER_LINES).unwrap() * i64::from(MAX_LINE_QUANTITY);
        let choices = i64::try_from(MAX_CHOICES).unwrap();
        assert!(MAX_PRICE.checked_mul(1 + choices).unwrap().checked_mul(lines).is_some());
    }

    proptest! {
        /// What is taken never exceeds what is free, and is exactly what was asked of counted items.
        #[test]
        fn takes_what_was_asked_or_nothing(
            stock in prop::collection::vec((any::<bool>(), 0_i64..20), 4),
            asked in prop::collection::vec((0_usize..4, 1_u32..8), 1..8),
        ) {
            let items = items(stock.iter().enumerate()
                .map(|(n, (counted, free))| stocked(n as u128, *counted, *free)));
            let lines: Vec<Line> = asked.iter().map(|(n, q)| line(*n as u128, *q)).collect();
            let total = |n: usize| -> i64 {
                asked.iter().filter(|(m, _)| *m == n).map(|(_, q)| i64::from(*q)).sum()
            };
            let fits = (0..4).all(|n| !stock[n].0 || total(n) <= stock[n].1);
            match taken(&lines, &items, &Quantities::new()) {
                Ok(taken) => {
                    prop_assert!(fits);
                    for (n, (counted, _)) in stock.iter().enumerate() {
                        let got: i64 = taken.iter()
                            .filter(|t| t.item == Id::from_bits(n as u128)).map(|t| t.quantity).sum();
                        prop_assert_eq!(got, if *counted { total(n) } else { 0 });
                    }
                }
                Err(error) => {
                    prop_assert!(!fits);
                    prop_assert_eq!(error.code(), ErrorCode::SoldOut);
                }
            }
        }
    }
}
