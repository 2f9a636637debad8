-- The segments and the published populations count the same units.
select
    segments.decision_month,
    segments.units,
    published.units as published_units

from (
    select decision_month, sum(population) as units
    from {{ ref('int_segment_units') }}
    group by decision_month
) as segments
full outer join (
    select
        cast(date_trunc('month', decision_date) as date) as decision_month,
        sum(population) as units
    from {{ ref('fct_audit_population') }}
    group by cast(date_trunc('month', decision_date) as date)
) as published
    on segments.decision_month = published.decision_month

where segments.units is distinct from published.units
