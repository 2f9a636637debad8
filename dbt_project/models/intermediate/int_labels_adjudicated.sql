{{ recomputed_by_day() }}

with

labels as (

    select * from {{ ref('int_labels_matched') }}

    where {{ in_decision_days('decision_date') }}

),

ordered as (

    select
        *,
        row_number() over (
            partition by channel, decision_id, decision_date, source
            order by first_labelled_at, label_id
        ) as place,
        row_number() over (
            partition by channel, decision_id, decision_date, source
            order by labelled_at desc, label_id desc
        ) as place_from_last

    from labels

),

first_known as (

    -- Only random audits make a sample; a golden question, an appeal or a report never does.
    select
        channel,
        decision_id,
        decision_date,
        count(*) as labels,
        min(first_verdict) filter (where place = 1) as verdict_first,
        cast(min(first_labelled_at) filter (where place = 1) as date) as labelled_on,
        greatest(
            cast(min(first_labelled_at) filter (where place = 1) as date),
            min(first_delivery_date) filter (where place = 1)
        ) as known_on

    from ordered

    where source = 'random_audit'

    group by channel, decision_id, decision_date

),

reviewed as (

    -- A reviewer has one voice, the last word; who is not named is somebody else each time.
    select
        channel,
        decision_id,
        decision_date,
        verdict,
        row_number() over (
            partition by channel, decision_id, decision_date, coalesce(reviewer_id, label_id)
            order by labelled_at desc, label_id desc
        ) as place_from_reviewers_last

    from ordered

    where source = 'random_audit'

),

voiced as (

    select
        channel,
        decision_id,
        decision_date,
        count(*) as voices,
        count(*) filter (where verdict = 'should_fire') as for_firing,
        count(*) filter (where verdict = 'should_not_fire') as against_firing

    from reviewed

    where place_from_reviewers_last = 1

    group by channel, decision_id, decision_date

),

corrected as (

    -- An appeal or a report may correct the verdict of a decision that was sampled.
    select
        channel,
        decision_id,
        decision_date,
        coalesce(
            min(verdict) filter (where source = 'appeal'),
            min(verdict) filter (where source = 'report')
        ) as correction,
        min(source) as corrected_by

    from ordered

    where source in ('appeal', 'report') and place_from_last = 1 and verdict <> 'unsure'

    group by channel, decision_id, decision_date

),

adjudicated as (

    -- Who is unsure decides nothing, unless everybody is.
    select
        first_known.channel,
        first_known.decision_id,
        first_known.decision_date,
        first_known.labels,
        case
            when corrected.correction is not null then corrected.correction
            when voiced.for_firing > voiced.against_firing then 'should_fire'
            when voiced.against_firing > voiced.for_firing then 'should_not_fire'
            else 'unsure'
        end as verdict,
        case
            when corrected.correction is not null then 'correction'
            when voiced.for_firing > 0 and voiced.for_firing = voiced.against_firing
                then 'disputed'
            when voiced.for_firing + voiced.against_firing = 1 or voiced.voices = 1
                then 'single'
            else 'majority'
        end as adjudication,
        -- An appeal's word goes before a report's, as its name does.
        coalesce(corrected.corrected_by, 'random_audit') as verdict_source,
        first_known.verdict_first,
        first_known.labelled_on,
        first_known.known_on

    from first_known
    inner join voiced
        on
            first_known.channel = voiced.channel
            and first_known.decision_id = voiced.decision_id
            and first_known.decision_date = voiced.decision_date
    left join corrected
        on
            first_known.channel = corrected.channel
            and first_known.decision_id = corrected.decision_id
            and first_known.decision_date = corrected.decision_date

),

stated as (

    select
        *,
        adjudication = 'disputed' as is_disputed

    from adjudicated

)

select * from stated
