with

source as (

    select * from {{ source('lake', 'strategies') }}

),

renamed as (

    select
        strategy_id,
        name,
        description,
        action,
        polarity,
        kind,
        policy,
        owner_team,
        backup_owner,
        partner_teams,
        lifecycle,
        traffic_percent,
        current_version,
        expires_on,
        never_stale_reason,
        sor_required,
        sor_reason,
        scope_categories,
        scope_markets,
        audit_sample,
        registry_hash

    from source

)

select * from renamed
