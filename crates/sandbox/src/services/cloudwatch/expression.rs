//! Metric math, as far as alarms on a balancer need it: numbers, ids, arithmetic, comparison, `FILL`, `IF`, and `MAX`, `MIN`,
//! `SUM`, `AVG` over a list (CloudWatch user guide, "Using math expressions with CloudWatch metrics"). Must not fetch a metric.

use std::collections::BTreeSet;

/// An expression that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Number(f64),
    Id(String),
    Negated(Box<Expression>),
    Pair(Box<Expression>, Operator, Box<Expression>),
    /// A missing datapoint becomes a number.
    Fill(Box<Expression>, f64),
    If(Box<[Expression; 3]>),
    Fold(Fold, Vec<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    AtMost,
    AtLeast,
    Below,
    Above,
    Plus,
    Minus,
    Times,
    Divided,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Max,
    Min,
    Sum,
    Avg,
}

/// By precedence, the weakest first; of one prefix the longer sign first.
const OPERATORS: [&[(&str, Operator)]; 5] = [
    &[("||", Operator::Or), ("OR", Operator::Or)],
    &[("&&", Operator::And), ("AND", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::Unequal),
        ("<=", Operator::AtMost),
        (">=", Operator::AtLeast),
        ("<", Operator::Below),
        (">", Operator::Above),
    ],
    &[("+", Operator::Plus), ("-", Operator::Minus)],
    &[("*", Operator::Times), ("/", Operator::Divided)],
];

/// Reads an expression; the error says what isn't understood.
pub(super) fn read(text: &str) -> Result<Expression, String> {
    let mut reader = Reader { rest: text };
    let expression = reader.operation(0)?;
    match reader.trimmed() {
        "" => Ok(expression),
        rest => Err(format!("`{rest}` is not understood")),
    }
}

impl Expression {
    /// The ids that it mentions.
    pub(super) fn ids(&self) -> BTreeSet<&str> {
        match self {
            Self::Number(_) => BTreeSet::new(),
            Self::Id(id) => BTreeSet::from([id.as_str()]),
            Self::Negated(of) | Self::Fill(of, _) => of.ids(),
            Self::Pair(left, _, right) => left.ids().into_iter().chain(right.ids()).collect(),
            Self::If(parts) => parts.iter().flat_map(Self::ids).collect(),
            Self::Fold(_, items) => items.iter().flat_map(Self::ids).collect(),
        }
    }

    /// Its value, with the ids' values from `value`; `None` where a datapoint that it needs is missing, or for a division by zero.
    pub(super) fn evaluate(&self, value: &impl Fn(&str) -> Option<f64>) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Id(id) => value(id),
            Self::Negated(of) => Some(-of.evaluate(value)?),
            Self::Fill(of, filling) => Some(of.evaluate(value).unwrap_or(*filling)),
            Self::Pair(left, operator, right) => {
                operator.apply(left.evaluate(value)?, right.evaluate(value)?)
            }
            Self::If(parts) => {
                let [condition, then, otherwise] = parts.as_ref();
                match condition.evaluate(value)? {
                    0.0 => otherwise.evaluate(value),
                    _ => then.evaluate(value),
                }
            }
            Self::Fold(fold, items) => {
                let values = items.iter().filter_map(|item| item.evaluate(value));
                fold.apply(&values.collect::<Vec<_>>())
            }
        }
    }
}

impl Operator {
    fn apply(self, left: f64, right: f64) -> Option<f64> {
        let truth = |flag: bool| Some(f64::from(u8::from(flag)));
        match self {
            Self::Or => truth(left != 0.0 || right != 0.0),
            Self::And => truth(left != 0.0 && right != 0.0),
            Self::Equal => truth(left == right),
            Self::Unequal => truth(left != right),
            Self::AtMost => truth(left <= right),
            Self::AtLeast => truth(left >= right),
            Self::Below => truth(left < right),
            Self::Above => truth(left > right),
            Self::Plus => Some(left + right),
            Self::Minus => Some(left - right),
            Self::Times => Some(left * right),
            Self::Divided => (right != 0.0).then(|| left / right),
        }
    }
}

impl Fold {
    fn apply(self, values: &[f64]) -> Option<f64> {
        let sum: f64 = values.iter().sum();
        match self {
            Self::Max => values.iter().copied().reduce(f64::max),
            Self::Min => values.iter().copied().reduce(f64::min),
            Self::Sum => (!values.is_empty()).then_some(sum),
            Self::Avg => (!values.is_empty()).then(|| sum / values.len() as f64),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn trimmed(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    /// Takes `sign` where it comes next.
    fn took(&mut self, sign: &str) -> bool {
        match self.trimmed().strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn need(&mut self, sign: &str) -> Result<(), String> {
        match self.took(sign) {
            true => Ok(()),
            false => Err(format!("`{sign}` is missing before `{}`", self.rest)),
        }
    }

    fn operation(&mut self, level: usize) -> Result<Expression, String> {
        let Some(operators) = OPERATORS.get(level) else {
            return self.operand();
        };
        let mut left = self.operation(level + 1)?;
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.took(sign)) {
            let right = self.operation(level + 1)?;
            left = Expression::Pair(Box::new(left), *operator, Box::new(right));
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Expression, String> {
        if self.took("(") {
            let inner = self.operation(0)?;
            self.need(")")?;
            return Ok(inner);
        }
        if self.took("-") {
            return Ok(Expression::Negated(Box::new(self.operand()?)));
        }
        let word = self.word();
        if word.is_empty() {
            return Err(format!(
                "a number, an id or a function is missing before `{}`",
                self.rest
            ));
        }
        if let Ok(number) = word.parse() {
            return Ok(Expression::Number(number));
        }
        match self.took("(") {
            true => self.function(word),
            false if word.starts_with(|first: char| first.is_ascii_lowercase()) => {
                Ok(Expression::Id(word.to_owned()))
            }
            false => Err(format!(
                "`{word}` is neither a number nor an id, which begins with a small letter"
            )),
        }
    }

    fn word(&mut self) -> &'a str {
        let text = self.trimmed();
        let part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
        let end = text.find(|letter| !part(letter)).unwrap_or(text.len());
        self.rest = &text[end..];
        &text[..end]
    }

    fn function(&mut self, name: &str) -> Result<Expression, String> {
        let fold = match name {
            "MAX" => Fold::Max,
            "MIN" => Fold::Min,
            "SUM" => Fold::Sum,
            "AVG" => Fold::Avg,
            "FILL" => {
                let of = self.operation(0)?;
                self.need(",")?;
                let Expression::Number(filling) = self.operation(0)? else {
                    return Err("FILL is understood with a number only".to_owned());
                };
                self.need(")")?;
                return Ok(Expression::Fill(Box::new(of), filling));
            }
            "IF" => {
                let condition = self.operation(0)?;
                self.need(",")?;
                let then = self.operation(0)?;
                self.need(",")?;
                let otherwise = self.operation(0)?;
                self.need(")")?;
                return Ok(Expression::If(Box::new([condition, then, otherwise])));
            }
            _ => {
                return Err(format!(
                    "the function {name} is not one of FILL, IF, MAX, MIN, SUM and AVG, which the sandbox has"
                ));
            }
        };
        self.need("[")?;
        let mut items = vec![self.operation(0)?];
        while self.took(",") {
            items.push(self.operation(0)?);
        }
        self.need("]")?;
        self.need(")")?;
        Ok(Expression::Fold(fold, items))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn value(id: &str) -> Option<f64> {
        match id {
            "zero" => Some(0.0),
            "two" => Some(2.0),
            "three" => Some(3.0),
            _ => None,
        }
    }

    fn check(text: &str, expected: Option<f64>) {
        assert_eq!(read(text).unwrap().evaluate(&value), expected, "{text}");
    }

    #[test]
    fn an_expression_has_a_value() {
        check("1 + 2 * 3", Some(7.0));
        check("(1 + 2) * 3", Some(9.0));
        check("8 - 2 - 1", Some(5.0));
        check("-two + 5", Some(3.0));
        check("100 * two / three", Some(200.0 / 3.0));
        check("two >= 2 && three < 3", Some(0.0));
        check("two == 2 OR three < 3", Some(1.0));
        check("IF(zero > 0, 1 / zero, 0.5)", Some(0.5));
        check("FILL(absent, 4) + 1", Some(5.0));
        check("MAX([two, three, absent])", Some(3.0));
        check("MIN([two, three])", Some(2.0));
        check("SUM([two, three])", Some(5.0));
        check("AVG([two, three])", Some(2.5));
    }

    #[test]
    fn what_is_missing_stays_missing() {
        check("absent + 1", None);
        check("two / zero", None);
        check("MAX([absent])", None);
        check("IF(absent, 1, 2)", None);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("two three", "`three`");
        check("SEARCH(two)", "SEARCH");
        check("(two", "`)`");
        check("Two", "small letter");
        check("", "missing");
        check("FILL(two, REPEAT)", "REPEAT");
        check("MAX(two)", "`[`");
    }

    #[test]
    fn an_expression_tells_its_ids() {
        let ids = read("IF(two > 0, FILL(three, 0), MAX([absent, -two]))").unwrap();
        assert_eq!(ids.ids(), BTreeSet::from(["absent", "three", "two"]));
    }
}
