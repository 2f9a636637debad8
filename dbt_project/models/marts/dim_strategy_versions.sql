with

strategy_versions as (

    select * from {{ ref('stg_strategy_versions') }}

)

select * from strategy_versions
