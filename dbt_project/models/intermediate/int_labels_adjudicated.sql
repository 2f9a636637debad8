with

labels as (

    select * from {{ ref('int_labels_matched') }}

),

ordered as (

    select
        *,
        row_number() over (
            partition by channel, decision_id, source order by labelled_at, label_id
        ) as place,
        row_number() over (
            partition by channel, decision_id, source order by labelled_at desc, label_id desc
        ) as place_from_last

    from labels

),

audited as (

    -- Only random audits make a sample; a golden question, an appeal or a report never does.
    select
        channel,
        decision_id,
        count(*) as labels,
        count(*) filter (where verdict = 'should_fire') as for_firing,
        count(*) filter (where verdict = 'should_not_fire') as against_firing,
        min(verdict) filter (where place = 1) as verdict_first,
        min(labelled_date) filter (where place = 1) as labelled_on,
        greatest(
            min(labelled_date) filter (where place = 1),
            min(delivery_date) filter (where place = 1)
        ) as known_on

    from ordered

    where source = 'random_audit'

    group by channel, decision_id

),

corrected as (

    -- An appeal or a report may correct the verdict of a decision that was sampled.
    select
        channel,
        decision_id,
        coalesce(
            min(verdict) filter (where source = 'appeal'),
            min(verdict) filter (where source = 'report')
        ) as correction,
        min(source) as corrected_by

    from ordered

    where source in ('appeal', 'report') and place_from_last = 1 and verdict <> 'unsure'

    group by channel, decision_id

),

adjudicated as (

    select
        audited.channel,
        audited.decision_id,
        audited.labels,
        case
            when corrected.correction is not null then corrected.correction
            when audited.for_firing > audited.against_firing then 'should_fire'
            when audited.against_firing > audited.for_firing then 'should_not_fire'
            else 'unsure'
        end as verdict,
        -- An appeal's word goes before a report's, as its name does.
        coalesce(corrected.corrected_by, 'random_audit') as verdict_source,
        audited.verdict_first,
        audited.labelled_on,
        audited.known_on,
        corrected.correction is null
        and audited.for_firing > 0
        and audited.for_firing = audited.against_firing as is_disputed

    from audited
    left join corrected
        on audited.channel = corrected.channel and audited.decision_id = corrected.decision_id

)

select * from adjudicated
