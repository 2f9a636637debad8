{#- A policy's violation is what a restriction should fire on and a boost should not. -#}
{% macro policy_verdict(verdict, polarity) -%}
    case
        when {{ verdict }} = 'violating'
            then case {{ polarity }} when 'boost' then 'should_not_fire' else 'should_fire' end
        when {{ verdict }} = 'not_violating'
            then case {{ polarity }} when 'boost' then 'should_fire' else 'should_not_fire' end
        else {{ verdict }}
    end
{%- endmacro %}
