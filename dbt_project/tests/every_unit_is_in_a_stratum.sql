-- The audit frame and the published populations count the same units.
select
    frame.decision_date,
    frame.units,
    published.units as published_units

from (
    select decision_date, sum(population) as units
    from {{ ref('int_audit_frame') }}
    group by decision_date
) as frame
full outer join (
    select decision_date, sum(population) as units
    from {{ ref('fct_audit_population') }}
    group by decision_date
) as published
    on frame.decision_date = published.decision_date

where frame.units is distinct from published.units
