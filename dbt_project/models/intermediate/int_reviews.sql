{{ computed_when_read() }}

with

labels as (

    select * from {{ ref('stg_recent_audit_labels') }}

),

matched as (

    select * from {{ ref('int_labels_matched') }}

),

keys as (

    select * from {{ ref('stg_evidence_key') }}

),

ranked as (

    -- A review of an item may serve several decisions, yet it is one answer.
    select
        matched.*,
        row_number() over (
            partition by matched.channel, matched.label_id
            order by matched.decision_date desc, matched.decision_id asc
        ) as place

    from matched
    inner join labels
        on matched.channel = labels.channel and matched.label_id = labels.label_id

),

answered as (

    select * from ranked

    where place = 1

),

reviews as (

    -- Golden questions are often about decisions that nobody drew: those keep their own words.
    select
        labels.label_id,
        labels.channel,
        answered.decision_id,
        -- Reviewers are people: what is published of them names nobody.
        md5(keys.evidence_key || labels.reviewer_id) as reviewer_hash,
        labels.source,
        labels.labelled_at,
        cast(labels.labelled_at as date) as labelled_date,
        coalesce(answered.verdict, labels.verdict) as verdict,
        coalesce(answered.golden_verdict, labels.golden_verdict) as golden_verdict

    from labels
    cross join keys
    left join answered
        on labels.channel = answered.channel and labels.label_id = answered.label_id

)

select * from reviews
