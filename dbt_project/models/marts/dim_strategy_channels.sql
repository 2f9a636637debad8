with

strategy_channels as (

    select * from {{ ref('stg_strategy_channels') }}

)

select * from strategy_channels
