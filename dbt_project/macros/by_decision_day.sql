{#- Tables by decision day are recomputed for exactly the days of the var `decision_days`. -#}

{% macro in_decision_days(column) -%}
    {%- set days = var('decision_days') -%}
    {%- if days -%}
        {{ column }} in (
            {%- for day in days %}cast('{{ day }}' as date){{ ', ' if not loop.last }}{% endfor -%}
        )
    {%- else -%}
        1 = 0
    {%- endif -%}
{%- endmacro %}

{#- Run before the recomputed days are appended, in the same transaction. -#}
{% macro forget_decision_days(column='decision_date') -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ in_decision_days(column) }}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}

{% macro is_contested(channel, day) -%}
    {%- set places = var('contested_days') -%}
    {%- if places -%}
        concat({{ channel }}, '/', cast({{ day }} as varchar(10))) in (
            {%- for place in places %}'{{ place }}'{{ ', ' if not loop.last }}{% endfor -%}
        )
    {%- else -%}
        1 = 0
    {%- endif -%}
{%- endmacro %}
