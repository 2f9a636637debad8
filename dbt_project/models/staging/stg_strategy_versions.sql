with

source as (

    select * from {{ source('lake', 'strategy_versions') }}

),

renamed as (

    select
        strategy_id,
        version,
        effective_from,
        effective_to,
        author,
        approver,
        reason,
        rollback_of,
        score_cuts

    from source

)

select * from renamed
