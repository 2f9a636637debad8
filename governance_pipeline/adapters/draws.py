"""The audit draw: which decisions reviewers are asked about, by a keyed hash that can be repeated.

A draw is a function of the item, the policy and the day, so strategies that judge an item by the
same policy draw the same items and share one review; without the key nobody can tell which.
"""


def draw_sql(key: str, item: str, policy: str, day: str) -> str:
    """Return the SQL of a uniform number in [0, 1) for an item, a policy and a day.

    Args:
        key: SQL of the secret key, usually a bound parameter or a variable.
        item: SQL of the item's id.
        policy: SQL of the policy.
        day: SQL of the decision's UTC date.

    >>> draw_sql("$key", "item_id", "policy", "decision_date")[:27]
    'cast((md5_number(concat($ke'
    """
    # A date is written as it is cast; `strftime` asks a third more time of the whole.
    named = f"concat({key}, '|', {item}, '|', {policy}, '|', {day}::date::varchar)"
    # The half that `md5_number_lower` gives, which makes a text of bits of the whole on its way.
    return f"cast((md5_number({named}) >> 64)::ubigint as double) / 18446744073709551616.0"


def probability_sql(rate: str, reach: str, scale: str, reach_share: str) -> str:
    """Return the SQL of `domain.sampling.inclusion_probability`.

    Args:
        rate: SQL of the stratum's rate; null gives null.
        reach: SQL of the unit's reach; null counts as 0.
        scale: SQL of the stratum's expected reach per unit, null for an even draw.
        reach_share: SQL of the share of draws made by reach.

    >>> probability_sql("p.rate", "b.reach", "p.reach_scale", "p.reach_share")[:55]
    'case when p.reach_scale is null then p.rate else least('
    """
    size = f"greatest(coalesce({reach}, 0), 0)::double / {scale}"
    return (
        f"case when {scale} is null then {rate} else"
        f" least(1::double, {rate} * (1 - {reach_share} + {reach_share} * ({size}))) end"
    )
